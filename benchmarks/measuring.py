"""Interleaved timing: noise that comes and goes hits all candidates alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

import torch


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Parameters
    ----------
    case
        What was measured.
    unit
        Such as ``"x dense step"`` or ``"ms"``.
    median, low, high
        Of the repeats; ``low`` and ``high`` are quartiles.
    repeats
        How many there were.
    goal
        What it should be, in words such as ``"<= 1.03"``; empty where there is no goal.
    """

    case: str
    unit: str
    median: float
    low: float
    high: float
    repeats: int
    goal: str = ""

    @classmethod
    def of(cls, case: str, unit: str, values: Sequence[float], goal: str = "") -> Figure:
        """The figure that repeats come to."""
        low, middle, high = values[0], values[0], values[0]
        if len(values) > 1:
            low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(case, unit, middle, low, high, len(values), goal)

    @property
    def meets_goal(self) -> bool | None:
        """Whether the median does; None without a goal."""
        if not self.goal:
            return None
        way, _, bound = self.goal.partition(" ")
        return self.median <= float(bound) if way == "<=" else self.median >= float(bound)


def interleaved_ms(
    candidates: Mapping[str, Callable[[], object]], repeats: int, inner: int = 1
) -> dict[str, list[float]]:
    """Milliseconds of one call of each candidate, measured in turns.

    Parameters
    ----------
    candidates
        What to time.
    repeats
        Turns.
    inner
        Calls in a turn; a turn's figure is their mean.
    """
    torch.set_num_threads(1)
    for call in candidates.values():
        for _ in range(inner):
            call()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, call in candidates.items():
            begin = time.perf_counter()
            for _ in range(inner):
                call()
            times[name].append((time.perf_counter() - begin) / inner * 1000)
    return times


def ratios(own: Sequence[float], base: Sequence[float]) -> list[float]:
    """One candidate's times over another's, turn by turn."""
    return [mine / theirs for mine, theirs in zip(own, base, strict=True)]
