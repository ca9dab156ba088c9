"""Numbers that a caller gives to choose and to compare by: checked, so that none is a typo."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from study.errors import UsageError


def checked_levels(
    field: str, values: Sequence[float], low: float = 0.0, *, low_is_allowed: bool = False
) -> list[float]:
    """Levels as floats.

    Raises
    ------
    UsageError
        If they are no list of numbers, there is none, or one is NaN, or not above ``low``.
    """
    bound = f"{'at least' if low_is_allowed else 'above'} {low:g}"
    try:
        levels = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{field}: {values!r} is not a list of numbers {bound}") from error
    if not levels:
        raise UsageError(f"{field}: the list is empty; numbers {bound} are allowed")
    for level in levels:
        if np.isnan(level) or level < low or (level == low and not low_is_allowed):
            raise UsageError(f"{field}: {level:g} is not {bound}")
    return levels


def checked_confidence(confidence: float) -> float:
    """A confidence in (0, 1).

    Raises
    ------
    UsageError
        If it is not: 95 for 0.95, for example.
    """
    if not isinstance(confidence, Real) or not 0.0 < float(confidence) < 1.0:
        raise UsageError(
            f"confidence: {confidence!r} is not between 0 and 1, both excluded; 0.95 is usual"
        )
    return confidence
