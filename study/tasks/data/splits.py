"""Data in three splits, in memory or memory-mapped; the test split is read only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from study.tasks.data.structures import count, rows, to_device


class Batch(NamedTuple):
    """Some examples, on the device of the task."""

    inputs: Any
    targets: Any


class Draw(NamedTuple):
    """Which examples make up a batch, and the seed of what their loading draws at random."""

    examples: Tensor
    seed: int


class Examples(Protocol):
    """One split, wherever its examples are."""

    def __len__(self) -> int:
        """How many examples there are."""

    def to(self, device: torch.device) -> Examples:
        """The same examples; batches come on this device."""

    def take(self, index: Tensor) -> Batch:
        """These examples, int64, shape (n,); the same each time."""

    def batches(self, draws: Iterable[Draw]) -> Iterator[Batch]:
        """Batches in the order in which they are drawn."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples in tensors, or in arrays that stay on disk until a batch needs their rows.

    Parameters
    ----------
    inputs
        Shape (n, ...), what the model takes as a batch; or a dict, tuple or dataclass of such.
    targets
        Shape (n, ...), what the loss takes: int64 classes, or floats such as one-hot rows; or a
        structure of such.
    chosen
        Which rows of them are meant, int64, shape (m,); None: all, in order.
    """

    inputs: Any
    targets: Any
    chosen: Tensor | None = None

    def __len__(self) -> int:
        return len(self.chosen) if self.chosen is not None else self._rows

    @property
    def _rows(self) -> int:
        return len(self.inputs) if isinstance(self.inputs, Tensor) else count("inputs", self.inputs)

    def to(self, device: torch.device) -> Split:
        """The same examples on a device; those on disk follow batch by batch."""
        return replace(
            self, inputs=to_device(self.inputs, device), targets=to_device(self.targets, device)
        )

    def take(self, index: Tensor) -> Batch:
        """These examples, int64, shape (n,)."""
        if self.chosen is not None:
            index = self.chosen[index.to(self.chosen.device)]
        return Batch(rows(self.inputs, index), rows(self.targets, index))

    @property
    def labels(self) -> Any:
        """The targets of all examples; those on disk as they are there."""
        if self.chosen is None or not isinstance(self.targets, Tensor):
            return self.targets
        return rows(self.targets, self.chosen)

    def batches(self, draws: Iterable[Draw]) -> Iterator[Batch]:
        """Batches in the order in which they are drawn; nothing in them is random."""
        return (self.take(draw.examples) for draw in draws)


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset.

    Parameters
    ----------
    name
        How reports call it.
    train, validation
        For training, and for every decision.
    load_test
        Reads the test split: called once, for reporting.
    classes
        Number of classes; 0 where there are none.
    has_test
        Whether there is a test split.
    confirmation
        Examples kept back from validation, on which nothing is chosen; None: none were.
    validation_groups, confirmation_groups
        Of the validation examples, shape (n,), where groups of them belong together; and of those
        that were kept back.
    test_groups
        Likewise of the test examples.
    """

    name: str
    train: Examples
    validation: Examples
    load_test: Callable[[], Examples]
    classes: int
    has_test: bool = True
    confirmation: Examples | None = None
    validation_groups: np.ndarray | None = None
    confirmation_groups: np.ndarray | None = None
    test_groups: np.ndarray | None = None

    def to(self, device: torch.device) -> Data:
        """The same data on a device; the test split follows when it is read."""
        load_test = self.load_test
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            load_test=cache(lambda: load_test().to(device)),
            confirmation=None if self.confirmation is None else self.confirmation.to(device),
        )

    @property
    def confirms(self) -> Examples:
        """By what a chosen network is confirmed: what was kept back, else the validation split."""
        return self.validation if self.confirmation is None else self.confirmation

    @property
    def confirming_groups(self) -> np.ndarray | None:
        """Groups of the examples that confirm."""
        return self.validation_groups if self.confirmation is None else self.confirmation_groups


def few(split: Examples, most: int) -> Tensor:
    """Indices of at most so many examples, spread evenly over a split: int64, ascending."""
    number = min(most, len(split))
    return torch.linspace(0, len(split) - 1, number, dtype=torch.float64).round().long()
