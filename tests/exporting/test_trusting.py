"""Code that a study folder names runs only where its user says so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import study
from study.errors import UsageError
from study.exporting.trusting import names_code, refuse_untrusted
from study.storage import Folder
from tests.conftest import call

MARK = "raise SystemExit('it was run')\n"


@pytest.fixture
def copied(small_study: Path, tmp_path: Path) -> Path:
    """The study that all tests share stays as it is."""
    return shutil.copytree(small_study, tmp_path / "copied")


def sent(small_study: Path, old: str, new: str) -> Path:
    """The study as somebody sends it, with a module in it that says when it is run."""
    (small_study / "sent_module.py").write_text(MARK)
    file = small_study / "study.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return small_study


def test_a_study_of_names_needs_no_trust(small_study: Path) -> None:
    refuse_untrusted(Folder(small_study), None, trust_code=False)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('dataset = "digits"', 'dataset = "sent_module:f"', "task.dataset"),
        ('optimizer = "sgd"', 'optimizer = "sent_module:f"', "task.optimizer"),
        ('lr_schedule = "cosine"', 'lr_schedule = "sent_module:f"', "task.lr_schedule"),
        ("metrics = []", 'metrics = ["sent_module:f"]', "task.metrics"),
        ('saliency = "magnitude"', 'saliency = "sent_module:f"', "space.saliency"),
    ],
)
def test_code_that_a_study_file_names_is_not_run(
    copied: Path, old: str, new: str, where: str
) -> None:
    folder = sent(copied, old, new)
    with pytest.raises(UsageError, match=rf"{where} names code, 'sent_module:f'.*--trust-code"):
        refuse_untrusted(Folder(folder), "0000", trust_code=False)
    refuse_untrusted(Folder(folder), "0000", trust_code=True)
    with pytest.raises(UsageError, match="trust_code=True"):
        study.load_network(folder, "0000")


def test_a_folder_that_is_gone_names_no_code(tmp_path: Path) -> None:
    assert not names_code(Folder(tmp_path / "gone"))


def test_code_that_a_plan_names_is_not_run_either(copied: Path) -> None:
    file = copied / "trials" / "0001" / "plan.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schedule": "sent_module:f"}))
    refuse_untrusted(Folder(copied), "0000", trust_code=False)
    for trial in ("0001", None):
        with pytest.raises(UsageError, match="the plan of trial 0001: schedule"):
            refuse_untrusted(Folder(copied), trial, trust_code=False)


@pytest.mark.parametrize(
    "command",
    [
        ("replicate", "--trial", "0000"),
        ("confirm",),
        ("sensitivity", "--trial", "0000"),
        ("export", "--trial", "0000", "-o", "x.safetensors"),
    ],
)
def test_every_command_that_builds_a_network_asks(
    copied: Path, command: tuple[str, ...], tmp_path: Path
) -> None:
    folder = sent(copied, 'dataset = "digits"', 'dataset = "sent_module:f"')
    refused = call(command[0], str(folder), *command[1:], cwd=tmp_path)
    assert refused.exit_code == 2
    assert "sent_module:f" in refused.stderr
    assert "--trust-code" in refused.stderr


def test_a_module_beside_where_the_user_stands_is_run_by_no_command_that_only_looks(
    copied: Path, tmp_path: Path
) -> None:
    for name in ("analysis", "pandas", "study"):
        (tmp_path / f"{name}.py").write_text(MARK)
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path[:1] = [{root!r}]; from study.cli import main; main()"
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, "status", str(copied)], cwd=tmp_path, env=own,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "it was run" not in done.stdout + done.stderr
