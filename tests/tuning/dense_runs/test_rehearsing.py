"""What is said when a study cannot be rehearsed on a node."""

from pathlib import Path
from typing import Any

import pytest
import ray

from study.configuration.loading import load_config
from study.errors import UsageError
from study.tuning.dense_runs import rehearsing
from study.tuning.dense_runs.rehearsing import _answer, rehearse_on_workers
from study.tuning.preparing import prepare
from tests.conftest import SMALL


def test_the_node_is_named_that_lacks_the_data_and_how_it_gets_them(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second node is made up; what the real one answers in its place is real."""
    study = {"name": "x", "storage_path": str(tmp_path)}
    prepared = prepare(load_config({**SMALL, "study": study}))
    (node,) = (node for node in ray.nodes() if node["Alive"])
    second = {**node, "NodeManagerHostname": "gpu-7", "NodeManagerAddress": "10.0.0.7"}
    monkeypatch.setattr("ray.nodes", lambda: [node, second])
    answers: list[Any] = []

    def task_on_worker(*_: Any) -> Any:
        raise UsageError("task.data_dir: there is no folder /data/cifar.")

    monkeypatch.setattr(rehearsing, "task_on_worker", task_on_worker)
    real = rehearsing._answer

    def first_is_fine(reference: Any) -> str | None:
        answers.append(real(reference))
        return answers[-1] if len(answers) == 2 else None

    monkeypatch.setattr(rehearsing, "_answer", first_is_fine)
    with pytest.raises(UsageError) as refused:
        rehearse_on_workers(prepared, {"cpu": 1, "gpu": 0})
    said = str(refused.value)
    assert said.startswith(
        "on node gpu-7 (10.0.0.7): task.data_dir: there is no folder /data/cifar."
    )
    assert "file system that all of them share" in said
    assert not [*tmp_path.iterdir()]


def test_a_node_without_a_package_says_so(ray_cluster: None) -> None:
    def work() -> None:
        raise ModuleNotFoundError("No module named 'torchvision'")

    said = _answer(ray.remote(num_cpus=1)(work).remote())
    assert said is not None
    assert said.startswith("ModuleNotFoundError: No module named 'torchvision'. Every node needs")


def test_what_is_no_ones_fault_there_is_not_hidden(ray_cluster: None) -> None:
    def work() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        _answer(ray.remote(num_cpus=1)(work).remote())
