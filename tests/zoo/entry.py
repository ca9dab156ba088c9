"""What a model of the zoo needs, beside itself, to be pruned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from study.tasks import Task, make_task

CLASSES = 3
EXAMPLES = 6
"""In each split of the task; two steps an epoch."""


def images(channels: int = 3, size: int = 8) -> Callable[[int], Tensor]:
    """Noise as (examples, channels, size, size)."""
    return lambda n: torch.randn(n, channels, size, size)


def numbers(*shape: int) -> Callable[[int], Tensor]:
    """Noise as (examples, ...)."""
    return lambda n: torch.randn(n, *shape)


def tokens(length: int = 6, vocabulary: int = 20) -> Callable[[int], Tensor]:
    """Indices as (examples, length); 0 is left to padding."""
    return lambda n: torch.randint(1, vocabulary, (n, length))


def one_class(n: int) -> Tensor:
    """A class of each example."""
    return torch.randint(CLASSES, (n,))


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Parameters
    ----------
    name
        As the table calls it.
    build
        Builds it, freshly initialised.
    inputs, targets
        Make so many examples.
    needs
        The package that it comes from, where that may be missing.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], Any]
    targets: Callable[[int], Tensor] = one_class
    needs: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether its package is installed."""
        return self.needs is None or find_spec(self.needs) is not None

    def model(self) -> nn.Module:
        """The same one each time, in eval mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build().eval()

    def examples(self, n: int, seed: int = 0) -> tuple[Any, Tensor]:
        """Inputs and targets, the same ones each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.inputs(n), self.targets(n)

    def task(self) -> Task:
        """A few steps of training on noise."""
        train, validation = (self.examples(EXAMPLES, seed) for seed in (1, 2))
        return make_task(
            self.build, train, validation, name="zoo", epochs=1, batch_size=3, lr=0.01,
            augmentation=(),
        )  # fmt: skip
