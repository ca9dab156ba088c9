"""Data as whole tensors, in three splits; the test split is read only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

SPLIT_SEED = 20_200_101
"""Seed of every built-in split. Fixed: trials with other seeds see the same validation data."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples of one split.

    Parameters
    ----------
    inputs
        Shape (n, ...), what the model takes as a batch.
    targets
        Shape (n, ...), what the loss takes: int64 classes, or floats such as one-hot rows.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> Split:
        """The same examples on a device."""
        return Split(self.inputs.to(device), self.targets.to(device))


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
    """

    name: str
    train: Split
    validation: Split
    load_test: Callable[[], Split]
    classes: int

    def to(self, device: torch.device) -> Data:
        """The same data on a device; the test split follows when it is read."""
        load_test = self.load_test
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            load_test=cache(lambda: load_test().to(device)),
        )


def one_hot(split: Split, classes: int) -> Split:
    """Turn classes into float rows, for a loss such as the mean squared error."""
    rows = torch.nn.functional.one_hot(split.targets, classes)
    return Split(split.inputs, rows.to(split.inputs.dtype))


def stratified_split(targets: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Divide examples so that every class is held out in the same proportion.

    Parameters
    ----------
    targets
        Classes, int64, shape (n,).
    fraction
        Share to hold out, in (0, 1).
    seed
        Of the choice; the global generators are left alone.

    Returns
    -------
    tuple of Tensor
        Indices of the examples that stay and of those held out, int64, ascending. What is held
        out is ``round(fraction * n)`` examples, each class its share by largest remainder.
    """
    classes = targets.cpu().numpy()
    labels, sizes = np.unique(classes, return_counts=True)
    ideal = sizes * fraction
    counts = np.floor(ideal).astype(int)
    missing = round(fraction * len(classes)) - counts.sum()
    counts[np.argsort(counts - ideal, kind="stable")[:missing]] += 1
    generator = np.random.default_rng(seed)
    held_out = np.concatenate(
        [
            generator.permutation(np.flatnonzero(classes == label))[:count]
            for label, count in zip(labels, counts, strict=True)
        ]
    )
    stays = np.setdiff1d(np.arange(len(classes)), held_out)
    return torch.from_numpy(stays), torch.from_numpy(np.sort(held_out))


def split_three_ways(inputs: Tensor, targets: Tensor) -> tuple[Split, Split, Split]:
    """Train, validation and test from examples that come in one piece: 70, 15 and 15 %."""
    rest, test = stratified_split(targets, 0.15, SPLIT_SEED)
    train, validation = stratified_split(targets[rest], 0.15 / 0.85, SPLIT_SEED + 1)
    train, validation = rest[train], rest[validation]
    train_split, validation_split, test_split = (
        Split(inputs[index], targets[index]) for index in (train, validation, test)
    )
    return train_split, validation_split, test_split


def standardise(train: Split, *others: Split) -> list[Split]:
    """Subtract mean and divide by deviation of each channel, both of the training split.

    A channel is the second dimension of inputs of shape (n, channels, height, width).
    """
    mean = train.inputs.mean((0, 2, 3), keepdim=True)
    deviation = train.inputs.std((0, 2, 3), keepdim=True).clamp_min(1e-8)
    return [Split((part.inputs - mean) / deviation, part.targets) for part in (train, *others)]
