"""Figures of networks in words: qualities, drops, tolerances and sizes, each in its own unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from study.records import MetricRecord

NEGLIGIBLE = 5e-4
"""Share of the scale below which two networks are told to be equal."""

_ROUNDING = 1e-12


def percent(share: float, digits: int = 1) -> str:
    """A share in percent."""
    return f"{100 * share:.{digits}f} %"


def points(drop: float, digits: int = 1) -> str:
    """A difference of shares in percentage points."""
    number = f"{100 * drop:.{digits}f}"
    return f"{number} point" if number in ("1.0", "-1.0") else f"{number} points"


def value_text(metric: MetricRecord, value: float) -> str:
    """A value: a share in percent, anything else as a number."""
    if not math.isfinite(value):
        return "not finite"
    if metric.unit == "share":
        return percent(value)
    if metric.unit == "score":
        return f"{value:.3f}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


_UNITS = {"share": (100, " points"), "score": (1, ""), "amount": (100, " %")}
"""By what a drop is multiplied to be told, and in what; of an amount it is relative to dense."""


def tolerance_text(metric: MetricRecord, *tolerances: float) -> str:
    """Tolerated drops: 0.01 is 1 point of a share, 0.01 of a score, 1 % of an amount."""
    factor, unit = _UNITS[metric.unit]
    numbers = [f"{factor * tolerance:g}" for tolerance in tolerances]
    told = " and ".join([", ".join(numbers[:-1]), numbers[-1]] if numbers[1:] else numbers)
    return f"{told}{' point' if unit == ' points' and told == '1' else unit}"


def scale(metric: MetricRecord, dense: Any) -> Any:
    """What a tolerance is a share of: the dense network's value of an amount, else 1.

    Parameters
    ----------
    metric
        What networks are judged by.
    dense
        Its value of the dense network; a float, or an array of them.
    """
    return abs(dense) if metric.unit == "amount" else 1.0


def is_tolerable(metric: MetricRecord, drop: Any, dense: Any, tolerance: float) -> Any:
    """Whether a drop is within a tolerance; of floats, or of arrays."""
    return drop <= tolerance * scale(metric, dense) + _ROUNDING


@dataclass(frozen=True)
class Telling:
    """How values of a metric are told beside the dense network's.

    Parameters
    ----------
    metric
        What networks are judged by.
    dense
        Its value of the dense network, which differences of an amount are told relative to.
    """

    metric: MetricRecord
    dense: float = math.nan

    @property
    def name(self) -> str:
        """Of the metric, for people."""
        return self.metric.name.replace("_", " ")

    def value(self, value: float) -> str:
        """94.3 %, 0.912, 30.12."""
        return value_text(self.metric, value)

    def named(self, value: float) -> str:
        """With its name: 94.3 % accuracy, perplexity 30.12."""
        if self.metric.unit == "share":
            return f"{self.value(value)} {self.name}"
        return f"{self.name} {self.value(value)}"

    def share_of_scale(self, gap: float) -> float:
        """A difference as a fraction: of 1, or of the dense network's value."""
        size = scale(self.metric, self.dense)
        return gap / size if size > 0 else math.nan

    @property
    def worse(self) -> str:
        """What a change for the worse is called."""
        return "drop" if self.metric.direction == "max" else "rise"

    def columns(self, frame: Any) -> Any:
        """A frame whose columns of changes for the worse are called a drop, or a rise."""
        return frame.rename(columns=lambda name: str(name).replace("drop", self.worse))

    @property
    def heading(self) -> str:
        """Of a column of changes for the worse, with their unit."""
        unit = _UNITS[self.metric.unit][1].strip()
        return f"{self.worse} ({unit})" if unit else self.worse

    def figure(self, gap: float) -> str:
        """A difference with its sign and without its unit."""
        if self.metric.unit == "score":
            return f"{gap + 0.0:.3f}"
        return f"{100 * self.share_of_scale(gap) + 0.0:,.1f}"

    def gap(self, gap: float) -> str:
        """The size of a difference: 1.2 points, 0.012, 3.1 %."""
        if self.metric.unit == "share":
            return points(abs(gap))
        if not math.isfinite(self.share_of_scale(gap)):
            return f"{abs(gap):.4g}"
        return self.figure(abs(gap)) + _UNITS[self.metric.unit][1]

    def span(self, low: float, high: float) -> str:
        """Both ends of an interval of differences."""
        return f"{self.figure(low)} to {self.figure(high)}{_UNITS[self.metric.unit][1]}"

    def interval(self, low: float, high: float) -> str:
        """Both ends of an interval of values, a share's without its percent sign."""
        ends = (self.value(low), self.value(high))
        return " to ".join(end.removesuffix(" %") for end in ends)

    def best(self, noun: str) -> str:
        """The best one: most accurate network, best network by perplexity."""
        if self.metric.name == "accuracy":
            return f"most accurate {noun}"
        return f"best {noun} by {self.name}"

    def is_negligible(self, gap: float) -> bool:
        """Whether a difference is too small to be told."""
        share = self.share_of_scale(gap)
        return abs(share if math.isfinite(share) else gap) < NEGLIGIBLE

    def side(self, drop: float) -> str:
        """Where a network lies that is worse by ``drop``: below, or above."""
        return "below" if self.is_better(drop) else "above"

    def drop(self, drop: float) -> str:
        """1.2 points below, 0.012 below, 3.1 % above."""
        return f"{self.gap(drop)} {self.side(drop)}"

    def within(self, tolerance: float) -> str:
        """A tolerated drop beside figures: 1.0 point, 0.01, 1 %."""
        if self.metric.unit == "share":
            return points(tolerance)
        return tolerance_text(self.metric, tolerance)

    def is_better(self, difference: float) -> bool:
        """Whether a network is better whose value is larger by ``difference``."""
        return (difference > 0) == (self.metric.direction == "max")


SIZE_NAMES = {
    "density": "density",
    "macs": "multiply-adds",
    "nonzero_parameters": "nonzero parameters",
    "latency_ms": "ms",
    "train_epochs": "epochs",
}


def size_text(column: str, size: float) -> str:
    """The size of a network, with its unit: density 0.05, 1,200 multiply-adds."""
    if column == "density":
        return f"density {size:.3g}"
    if column == "latency_ms":
        return f"{size:.3g} ms"
    return f"{size:{',.6g' if size < 1e6 else ',.0f'}} {SIZE_NAMES[column]}"
