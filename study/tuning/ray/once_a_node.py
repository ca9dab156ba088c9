"""What is large, and the same for all trials: in the object store once a node."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import torch
from torch import Tensor

from study.tasks.data.splits import Data, Split
from study.tasks.data.structures import leaves, map_leaves
from study.tasks.task import Task

LEAST_BYTES = 32_000_000
"""Data below this size are loaded by each worker, and nothing is gained by sharing them."""

_SPLITS = ("train", "validation", "confirmation")


class SharedFunction:
    """A function of a notebook, with all that it closes over, by reference.

    Ray would otherwise send it with every trial, data and all.

    Parameters
    ----------
    function
        Returns a task.
    """

    def __init__(self, function: Callable[[], Task]) -> None:
        self._reference = ray.put(function)

    def __call__(self) -> Task:
        """Call the function; arrays in it cannot be written to."""
        task: Task = ray.get(self._reference)()
        return task


def with_shared_object(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`study.tasks.load_task`, an object that is no name put away once."""
    given = arguments["object"]
    return {**arguments, "object": SharedFunction(given) if callable(given) else given}


def share_data(data: Data, device: torch.device) -> dict[str, Any]:
    """Put the examples of a task where all workers of a node see them.

    Parameters
    ----------
    data
        Of the task.
    device
        On which it trains: on a GPU each worker has a copy of its own anyway.

    Returns
    -------
    dict[str, Any]
        A reference for each split in memory of :data:`LEAST_BYTES` or more, for
        :func:`with_shared_data`.
    """
    if device.type != "cpu":
        return {}
    found = {name: getattr(data, name) for name in _SPLITS}
    return {
        name: ray.put([_array(leaf) for leaf in _leaves(split)])
        for name, split in found.items()
        if isinstance(split, Split) and _bytes(split) >= LEAST_BYTES
    }


def with_shared_data(task: Task, references: Mapping[str, Any]) -> Task:
    """The task with the examples that its node shares, in place of its own copy of them.

    The values are the same: that every worker loads the same examples is what the rehearsal
    checks. Nothing writes to them: batches are copies.
    """
    changed: dict[str, Any] = {}
    for name, reference in references.items():
        split = getattr(task.data, name)
        arrays = ray.get(reference)
        own = _leaves(split) if isinstance(split, Split) else []
        if [_form(leaf) for leaf in own] == [_form(array) for array in arrays]:
            changed[name] = _refilled(split, arrays)
    return replace(task, data=replace(task.data, **changed))


def _refilled(split: Split, arrays: list[np.ndarray]) -> Split:
    given = iter(arrays)

    def other(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(next(given))

    return replace(
        split, inputs=map_leaves(other, split.inputs), targets=map_leaves(other, split.targets)
    )


def _leaves(split: Split) -> list[Tensor]:
    """Tensors in memory; arrays on disk are shared already."""
    found = leaves((split.inputs, split.targets))
    return [leaf for leaf in found if isinstance(leaf, Tensor)]


def _bytes(split: Split) -> int:
    known = all(leaf.dtype != torch.bfloat16 for leaf in _leaves(split))  # NumPy does not know it
    return sum(leaf.nbytes for leaf in _leaves(split)) if known else 0


def _array(leaf: Tensor) -> np.ndarray:
    return leaf.detach().contiguous().numpy()


def _form(leaf: Tensor | np.ndarray) -> tuple[tuple[int, ...], str]:
    return tuple(leaf.shape), str(leaf.dtype).removeprefix("torch.")
