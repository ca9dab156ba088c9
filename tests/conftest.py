"""What many tests share: few threads, and one real study on a real Ray."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import settings

from tests.s3_server import KEYS, S3Server, s3_server

torch.set_num_threads(1)
os.environ.setdefault("RAY_ADDRESS", "local")  # and no cluster that another test has started
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # workers find compiled what another has compiled
for each in (signal.SIGINT, signal.SIGHUP):  # begun in the background, all would ignore them
    if signal.getsignal(each) == signal.SIG_IGN:
        signal.signal(each, signal.SIG_DFL)
settings.register_profile("no deadline", deadline=None)  # other work on the machine is no failure
settings.load_profile("no deadline")

SMALL: dict[str, Any] = {
    "study": {"name": "small", "num_samples": 6},
    "task": {
        "dataset": "digits",
        "model": "mlp",
        "model_options": {"widths": [24, 16]},
        "epochs": 4,
        "batch_size": 64,
    },
    "space": {"rounds": [1, 3], "retrain_epochs": [1, 2], "rewind_epoch": [0, 1]},
    "search": {"textbook": False},
    "confirm": {"share": 0},
    "resources": {"max_concurrent": 1},
}
"""A study file that is done in seconds; all of its trials are drawn from the space.

It has one worker: a second one would spend more time on its imports than on its trials.
"""


LONGEST = (
    "test_kills.py", "test_resuming.py", "test_cli.py", "test_examples.py", "test_docs.py",
    "test_study.py", "test_confirming.py", "test_own_tasks.py", "test_replicating.py",
    "test_finishing.py", "test_scheduler.py",
    "test_trajectories.py", "test_notebooks.py", "test_every_figure.py", "test_job.py",
    "test_slurm.py", "test_two_nodes.py", "test_object_store.py",
)  # fmt: skip
"""Files that take longest, in this order: begun last, one would run on while the others wait."""


def pytest_runtest_setup() -> None:
    """Draw the same networks in every run, whatever ran before."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure is no measurement for others: tables of layers are kept elsewhere.

    Nor has any test the keys of a real bucket.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNE_STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, value in KEYS.items():  # before Ray, whose workers have its environment
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that measures does not wait for studies of others on this machine."""
    folder = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.pruning.latency.quiet.lock_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def ray_cluster(own_cache: None) -> Iterator[None]:
    """Ray on this machine, started once for all tests."""
    import logging

    import ray

    ray.init(
        address="local", num_cpus=2, log_to_driver=False, logging_level=logging.ERROR,
        include_dashboard=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3-compatible server, started once for all tests of a process."""
    with s3_server() as server:
        yield server


def environment() -> dict[str, str]:
    """For another process: this project, and the Ray that runs already, if one does."""
    import ray

    own = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    if ray.is_initialized():
        own["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    return own


def call(*arguments: str, cwd: Path | None = None) -> Result:
    """Call the command line from a folder, in this process, which has the imports behind it.

    The modules that it finds there are forgotten: another folder may have others of their names.
    """
    from study.cli import main

    path, modules = [*sys.path], {*sys.modules}
    try:
        with chdir(cwd or Path.cwd()):
            return CliRunner().invoke(main, arguments, prog_name="prune-study")
    finally:
        sys.path[:] = path
        for name in {*sys.modules} - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if cwd is not None and file is not None and Path(file).is_relative_to(cwd):
                del sys.modules[name]


@pytest.fixture(scope="session")
def small_study(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study of six trials: one process runs it, and each has a copy."""
    import study

    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (place / "small.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (place / "small").exists():
            beside_each_other = {**SMALL, "resources": {"max_concurrent": 2}}
            made = study.run(beside_each_other, storage_path=tmp_path_factory.mktemp("made"))
            Path(made).rename(place / "small")
    return shutil.copytree(place / "small", tmp_path_factory.mktemp("studies") / "small")
