"""Descents side by side: how much better one is than another, network for network of one size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.tuning.search.stages.standing import Aim, Tried

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


def difference(aim: Aim, one: Tried, other: Tried, last: int | None = None) -> Difference:
    """Compare two descents at the sizes that both have come to.

    The quality of each is taken at the sizes of the other too, on a straight line over the
    logarithm of the size between its own networks, the dense one among them.

    Parameters
    ----------
    aim
        Says what quality and size are.
    one, other
        The descents.
    last
        Compare at so many sizes alone, the smallest; None: at all.
    """
    first, second = _curve(aim, one), _curve(aim, other)
    if len(first[0]) < 2 or len(second[0]) < 2:
        return Difference(math.nan, math.nan, 0)
    least = max(first[0][0], second[0][0])
    own = (_log_sizes(aim, one), _log_sizes(aim, other))
    sizes = [s for s in sorted({*own[0], *own[1]}) if s >= least - 1e-9][:last]
    if not sizes:
        return Difference(math.nan, math.nan, 0)
    gaps = np.interp(sizes, *first) - np.interp(sizes, *second)
    error = math.nan
    if len(sizes) >= FEWEST:
        error = statistics.stdev(gaps.tolist()) / math.sqrt(len(sizes))
    return Difference(float(gaps.mean()), error, len(sizes))


def best_of(aim: Aim, descents: Sequence[Tried]) -> Tried:
    """The descent that gains the most on the first; of equal ones the first."""

    def gain(descent: Tried) -> float:
        mean = difference(aim, descent, descents[0]).mean
        return -math.inf if math.isnan(mean) else mean

    return max(descents, key=gain)


def _log_sizes(aim: Aim, descent: Tried) -> list[float]:
    return [
        math.log(result[aim.size])
        for result in descent.pruned
        if result[aim.size] > 0 and math.isfinite(aim.yardstick.worth(result))
    ]


def _curve(aim: Aim, descent: Tried) -> tuple[list[float], list[float]]:
    """Logarithms of sizes, ascending, and the quality at each."""
    points = {
        math.log(result[aim.size]): aim.yardstick.worth(result)
        for result in descent.results
        if result[aim.size] > 0 and math.isfinite(aim.yardstick.worth(result))
    }
    sizes = sorted(points)
    return sizes, [points[size] for size in sizes]
