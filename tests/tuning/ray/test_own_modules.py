"""Which modules are sent to nodes; that workers then import them, `test_two_nodes.py` tries."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.errors import UsageError
from study.tuning.ray import own_modules
from study.tuning.ray.own_modules import imported_modules, runtime_env


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with modules, some of which are imported, and an environment in it."""
    for name in ("sent_alone", "sent_package/__init__", "sent_package/part", "not_imported",
                 ".venv/lib/of_environment"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path / ".venv" / "lib")])
    before = {*sys.modules}
    importlib.invalidate_caches()
    for module in ("sent_alone", "sent_package.part", "of_environment"):
        importlib.import_module(module)
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_what_was_imported_and_is_not_installed_is_sent(folder: Path) -> None:
    own = [path for path in imported_modules() if path.is_relative_to(folder)]
    assert own == [folder / "sent_alone.py", folder / "sent_package"]
    names = {path.name.removesuffix(".py") for path in imported_modules()}
    assert not names & {"torch", "numpy", "study", "tests", "json", "pytest"}


def test_a_package_full_of_data_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sent_package" / "data.bin").write_bytes(bytes(3_000_000))
    monkeypatch.setattr(own_modules, "MOST_MB", 2)
    with pytest.raises(UsageError, match=r"sent_package.*data\.bin \(3 MB\).*Keep data out"):
        imported_modules()


def test_modules_are_sent_to_a_cluster_that_is_joined_and_not_within_a_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert runtime_env() is None
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert runtime_env() is None
    monkeypatch.setenv("RAY_ADDRESS", "somewhere:1")
    sent = runtime_env()
    assert sent is not None
    assert str(folder / "sent_alone.py") in sent["py_modules"]
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert runtime_env() is None
