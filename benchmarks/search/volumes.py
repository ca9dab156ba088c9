"""Hypervolume of networks that validation chose, on validation and on test data, over cost.

The reference point is accuracy 0.5 at density 1. Density counts on a log scale down to 0.01, and
the volume of the whole rectangle is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

LEAST_ACCURACY, LEAST_DENSITY = 0.5, 0.01

Split = Literal["accuracy", "test"]


@dataclass(frozen=True)
class Network:
    """A pruned network, and what everything up to it had cost.

    Parameters
    ----------
    samples
        Training examples, the dense run among them once.
    wall_s
        Seconds since the method began.
    accuracy
        On validation data. Choices are made by it alone.
    density
        Share of the prunable weights that is left.
    trial
        Number of the trial or run that it is of.
    test
        Accuracy on test data, read when the method had ended; None where the network was behind
        the front when it was found, so that it can never be chosen.
    """

    samples: int
    wall_s: float
    accuracy: float
    density: float
    trial: int = 0
    test: float | None = None


def joins(front: Iterable[Network], network: Network) -> bool:
    """Whether no network of a front is as accurate on validation data and as small."""
    return network.accuracy > LEAST_ACCURACY and not any(
        other.accuracy >= network.accuracy and other.density <= network.density for other in front
    )


def once_on_front(networks: Iterable[Network]) -> list[bool]:
    """Of each network, in the order in which they were found, whether it joined the front then."""
    front: list[Network] = []
    found = []
    for network in networks:
        found.append(joins(front, network))
        if found[-1]:
            front = with_joined(front, network)
    return found


def with_joined(front: Sequence[Network], network: Network) -> list[Network]:
    """A front without what a new network of it beats, by ascending density (and accuracy)."""
    left = [
        other
        for other in front
        if other.accuracy > network.accuracy or other.density < network.density
    ]
    return sorted([*left, network], key=lambda each: each.density)


def volume(front: Sequence[Network], split: Split) -> float:
    """Area under the staircase of a front, by ascending density.

    At each density it is as high as the network that validation chose there: the most accurate one
    that is not denser. On validation data this is the hypervolume. On test data a step may go
    down; it counts as it is, and is not made up for by a smaller network that did better on test.
    """
    places = [1.0 + math.log(max(n.density, LEAST_DENSITY)) / -math.log(LEAST_DENSITY)
              for n in front]  # fmt: skip
    gains = []
    for network in front:
        accuracy = network.accuracy if split == "accuracy" else network.test
        if accuracy is None:
            raise ValueError(f"a network of the front was not read on test data: {network}")
        gains.append(max((accuracy - LEAST_ACCURACY) / (1.0 - LEAST_ACCURACY), 0.0))
    widths = [end - begin for begin, end in pairwise([*places, 1.0])]
    return math.fsum(width * gain for width, gain in zip(widths, gains, strict=True))


def volumes(networks: Sequence[Network], split: Split) -> np.ndarray:
    """Volume of the front after each network, in the order in which they were found."""
    front: list[Network] = []
    found, last = np.empty(len(networks)), 0.0
    for number, network in enumerate(networks):
        if joins(front, network):
            front = with_joined(front, network)
            last = volume(front, split)
        found[number] = last
    return found


def volume_at(networks: Sequence[Network], samples: float, split: Split) -> float:
    """Volume of what was found for so many training examples; 0 before the first network."""
    return float(([0.0, *volumes([n for n in networks if n.samples <= samples], split)])[-1])
