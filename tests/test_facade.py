import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import study

ROOT = Path(__file__).parent.parent
PACKAGES = ("study", "search_spaces", "analysis")
FACADES = ["study", "study.pruning", "study.tasks", "search_spaces", "analysis"]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(path for path in (ROOT / "examples").iterdir() if path.is_file()),
]
LIGHT = ["study", "study.cli", "study.records", "study.storage", "study.pruning"]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_brings_neither_torch_nor_ray(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", ["study.pruning.pipeline", "study.tasks"])
def test_the_pipeline_runs_where_there_is_no_ray(module: str) -> None:
    code = f"import sys; sys.modules['ray'] = None; import {module}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("facade", FACADES)
def test_a_facade_names_what_it_has(facade: str) -> None:
    module = import_module(facade)
    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="runn"):
        study.runn  # noqa: B018


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_what_users_are_shown_comes_from_facades(page: Path) -> None:
    imported = re.findall(
        r"\b(?:from|import) ((?:study|analysis|search_spaces)[\w.]*)", page.read_text()
    )
    assert set(imported) <= set(FACADES)


def test_every_folder_says_what_it_answers() -> None:
    folders = [f.parent for package in PACKAGES for f in (ROOT / package).rglob("__init__.py")]
    assert len(folders) > 30
    for folder in folders:
        assert (folder / "__init__.py").read_text().startswith('"""'), folder
        assert len(list(folder.glob("*.py"))) <= 15, f"{folder} is a hall: give it rooms"


def test_help_is_quick() -> None:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "study.cli", "--help"], check=True, capture_output=True)
    assert time.perf_counter() - begin < 2.0  # the target is 0.5 s on a quiet machine
