"""Two descents side by side: how much better one is, network for network of one size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Course = Mapping[float, float]
"""The quality of a descent's pruned networks, greater where better, by their sizes above 0."""

ROUNDING = 1e-9

FEWEST = 3
"""Sizes at which two descents must be compared before their differences have a spread."""


@dataclass(frozen=True)
class Difference:
    """How much better one descent is than another at equal size.

    Parameters
    ----------
    mean
        Of the differences in quality, positive where the first is better; NaN where no size is
        common to both.
    standard_error
        Of that mean, by the spread of the differences; NaN at fewer than three sizes.
    sizes
        How many sizes were compared.
    """

    mean: float
    standard_error: float
    sizes: int

    @property
    def is_gain(self) -> bool:
        """Whether the first is better by more than a standard error, where there is one."""
        least = 0.0 if math.isnan(self.standard_error) else self.standard_error
        return self.mean > least


def difference(one: Course, other: Course, last: int | None = None) -> Difference:
    """Compare two descents at the sizes that both have come to.

    The quality of each is taken at the sizes of the other too, on a straight line over the
    logarithm of the size between its own networks.

    Parameters
    ----------
    one, other
        The descents.
    last
        Compare at so many sizes alone, the smallest; None: at all.
    """
    first, second = _by_logarithm(one), _by_logarithm(other)
    if not first or not second:
        return Difference(math.nan, math.nan, 0)
    least, most = max(min(first), min(second)), min(max(first), max(second))
    common = [s for s in {*first, *second} if least - ROUNDING <= s <= most + ROUNDING]
    sizes = sorted(common)[:last]
    if not sizes:
        return Difference(math.nan, math.nan, 0)
    gaps = _at(first, sizes) - _at(second, sizes)
    error = math.nan
    if len(sizes) >= FEWEST:
        error = statistics.stdev(gaps.tolist()) / math.sqrt(len(sizes))
    return Difference(float(gaps.mean()), error, len(sizes))


def _by_logarithm(course: Course) -> dict[float, float]:
    return {math.log(size): worth for size, worth in course.items() if math.isfinite(worth)}


def _at(curve: Mapping[float, float], sizes: Sequence[float]) -> np.ndarray:
    known = sorted(curve)
    return np.interp(sizes, known, [curve[size] for size in known])
