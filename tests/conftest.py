"""What many tests share: few threads, and one real study on a real Ray."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
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
}
"""A study file that is done in seconds; all of its trials are drawn from the space."""


LONGEST = ("test_examples.py", "test_cli.py", "test_study.py", "test_docs.py", "test_own_tasks.py")
"""Files of minutes: begun last, one of them would run on while the other processes wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure is no measurement for others: tables of layers are kept elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNE_STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def ray_cluster(own_cache: None) -> Iterator[None]:
    """Ray on this machine, started once for all tests."""
    import logging

    import ray

    ray.init(num_cpus=2, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    yield
    ray.shutdown()


def environment() -> dict[str, str]:
    """For another process: this project, and the Ray that runs already, if one does."""
    import ray

    own = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    if ray.is_initialized():
        own["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    return own


@pytest.fixture(scope="session")
def small_study(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study of six trials."""
    import study

    return Path(study.run(SMALL, storage_path=tmp_path_factory.mktemp("studies")))
