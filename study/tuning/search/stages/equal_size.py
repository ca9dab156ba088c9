"""Descents of a search side by side, at equal size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from study.equal_size import Difference, difference
from study.tuning.search.stages.standing import Aim, Tried


def compared(aim: Aim, one: Tried, other: Tried, last: int | None = None) -> Difference:
    """How much better the first is, at the sizes that both have come to, or the last of these."""
    return difference(_course(aim, one), _course(aim, other), last or aim.last_sizes)


def best_of(aim: Aim, descents: Sequence[Tried]) -> Tried:
    """The descent that gains the most on the first; of equal ones the first.

    One that did not come to its end is none: what it was stopped for lies beyond the sizes at which
    it could be compared.
    """

    def gain(descent: Tried) -> float:
        mean = compared(aim, descent, descents[0]).mean
        return -math.inf if math.isnan(mean) else mean

    first, *others = descents
    return max((first, *(each for each in others if each.is_whole)), key=gain)


def _course(aim: Aim, descent: Tried) -> dict[float, float]:
    return {
        result[aim.size]: aim.yardstick.worth(result)
        for result in descent.pruned
        if result[aim.size] > 0
    }
