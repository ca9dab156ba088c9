import subprocess
import sys
import time

import pytest

import study

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


def test_the_facade_names_what_it_has() -> None:
    assert set(study.__all__) <= set(dir(study))
    assert all(getattr(study, name) is not None for name in study.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        study.runn  # noqa: B018


def test_help_is_quick() -> None:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "study.cli", "--help"], check=True, capture_output=True)
    assert time.perf_counter() - begin < 2.0  # the target is 0.5 s on a quiet machine
