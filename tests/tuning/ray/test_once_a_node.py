"""What is large is in the object store once, and the same to the last bit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray import cloudpickle
from torch import nn

from study.tasks import make_task
from study.tasks.data.structures import leaves
from study.tasks.task import Task
from study.tuning.ray import once_a_node
from study.tuning.ray.once_a_node import share_data, with_shared_data, with_shared_object

pytestmark = pytest.mark.usefixtures("ray_cluster")

CPU = torch.device("cpu")


def closing_over(values: np.ndarray) -> Callable[[], Task]:
    def task() -> Task:
        wide = {"a": torch.from_numpy(values.copy()), "b": torch.ones(len(values), 2)}
        labels = torch.arange(len(values)) % 2
        return make_task(
            lambda: nn.Linear(1, 2), train=(wide, labels), validation=0.25,
            test=(wide, labels), forward=lambda network, inputs: network(inputs["a"][:, :1]),
        )  # fmt: skip

    return task


def test_a_function_of_a_notebook_is_sent_as_a_reference_and_gives_the_same_task() -> None:
    function = closing_over(np.random.default_rng(0).random((5_000, 100)))
    arguments = with_shared_object({"object": function, "metrics": ()})
    assert len(cloudpickle.dumps(function)) > 4_000_000
    assert len(cloudpickle.dumps(arguments)) < 2_000
    there: Any = ray.get(ray.remote(lambda given: given["object"]().data.train).remote(arguments))
    for ours, theirs in zip(
        *(leaves(s.inputs) for s in (function().data.train, there)), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert with_shared_object({"object": "own:task"}) == {"object": "own:task"}
    assert with_shared_object({"object": None}) == {"object": None}


def test_large_splits_are_shared_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    function = closing_over(np.random.default_rng(0).random((1_000, 10)))
    task = function()
    monkeypatch.setattr(once_a_node, "LEAST_BYTES", 30_000)
    references = share_data(task.data, CPU)
    assert set(references) == {"train"}
    assert share_data(task.data, torch.device("cuda")) == {}

    def looked_at() -> tuple[list[bool], list[bool], list[Any]]:
        shared = with_shared_data(function(), references)
        split = shared.data.train
        stored = ray.get(references["train"])
        places = {array.__array_interface__["data"][0] for array in stored}
        parts = leaves((split.inputs, split.targets))
        batch = shared.data.train.take(torch.tensor([3, 1]))
        batch.inputs["a"].add_(1)  # a batch is a copy, which may be written to
        return (
            [part.data_ptr() in places for part in parts],
            [array.flags.writeable for array in stored],
            [part.clone() for part in parts],
        )

    in_store, writeable, values = ray.get(ray.remote(looked_at).remote())
    assert in_store == [True] * 3
    assert writeable == [False] * 3
    own = leaves((task.data.train.inputs, task.data.train.targets))
    assert all(map(torch.equal, own, values))


def test_a_worker_whose_data_have_another_form_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(once_a_node, "LEAST_BYTES", 0)
    task = closing_over(np.zeros((40, 3)))()
    other = closing_over(np.ones((80, 3)))()
    references = share_data(task.data, CPU)
    kept = with_shared_data(other, references)
    assert kept.data.train.inputs["a"] is other.data.train.inputs["a"]
    given = with_shared_data(replace(other, data=task.data), references)
    assert torch.equal(given.data.train.inputs["a"], task.data.train.inputs["a"])
