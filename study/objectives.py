"""What a study optimises, and the conditions that a network must meet to count."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from study.errors import UsageError, shortened, unknown_name
from study.records import MetricRecord

Direction = Literal["max", "min"]

SIZES = {
    "density": "density",
    "macs": "macs",
    "parameters": "nonzero_parameters",
    "latency_ms": "latency_ms",
    "train_epochs": "train_epochs",
}
"""What a network costs, by the name of an objective, and the field of a round record. Less is
better. Every other objective is a metric of the task, or its loss."""


def column_of(name: str) -> str:
    """The field of a round record that an objective or a constraint reads; none is on test data."""
    if name in SIZES or name in SIZES.values() or name.startswith("val_"):
        return SIZES.get(name, name)
    return f"val_{name}"


def is_size(column: str) -> bool:
    """Whether a column says what a network costs, rather than how good it is."""
    return column in SIZES.values()


def quality_of(metrics: Sequence[MetricRecord], objectives: Iterable[str]) -> MetricRecord:
    """The metric that a study is about: the first among its objectives, else the task's first."""
    named = {metric.name: metric for metric in metrics}
    return next((named[name] for name in objectives if name in named), metrics[0])


def size_of(objectives: Iterable[str]) -> str:
    """The column that a study makes small: of the first size among its objectives, else density."""
    return next((SIZES[name] for name in objectives if name in SIZES), "density")


def checked_objectives(
    objectives: Mapping[str, Direction], metrics: Sequence[MetricRecord]
) -> dict[str, Direction]:
    """The objectives of a study on a task; unset ones are its quality and density.

    Raises
    ------
    UsageError
        If a name is neither a metric of the task nor a size, or a direction is the wrong way.
    """
    if not objectives:
        return {metrics[0].name: metrics[0].direction, "density": "min"}
    better = {
        **{metric.name: metric.direction for metric in metrics},
        **dict.fromkeys(SIZES, "min"),
    }
    for name, way in objectives.items():
        if name not in better:
            raise unknown_name("objectives", name, better)
        if way != better[name]:
            raise UsageError(
                f"objectives.{name}: {way!r} looks for the worst networks. "
                f"Allowed: {better[name]!r}."
            )
    return dict(objectives)


_WRITTEN = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*(\S+)\s*")


WHOLE = {
    "macs": "dense_macs",
    "nonzero_parameters": "total_parameters",
    "latency_ms": "dense_latency_ms",
}
"""What a size is a share of, where a constraint on it is given as one: a limit of 1 or less."""


@dataclass(frozen=True)
class Constraint:
    """One column of a round's result, and the limit on its side.

    A limit of 1 or less on multiply-adds, parameters or latency is a share of the dense network's.

    Examples
    --------
    >>> Constraint.parse("accuracy >= 0.94").violation({"val_accuracy": 0.9})
    0.04
    """

    column: str
    at_least: bool
    limit: float

    @classmethod
    def parse(cls, text: str, field: str = "constraint") -> Constraint:
        """Read ``"name <= number"`` or ``"name >= number"``.

        Parameters
        ----------
        text
            The name is an objective's (``accuracy``) or that of its column (``val_accuracy``).
        field
            Where it is written, for the message.

        Raises
        ------
        UsageError
            If it is written in another way.
        """
        match = _WRITTEN.fullmatch(text)
        limit = _number(match[3]) if match else None
        if match is None or limit is None:
            raise UsageError(
                f"{field}: {shortened(text)}: write a name, <= or >=, and a number, such as "
                "'accuracy >= 0.94'"
            )
        return cls(column_of(match[1]), match[2] == ">=", limit)

    @property
    def share_of(self) -> str | None:
        """The column of which the limit is a share; None where it is an amount."""
        return WHOLE.get(self.column) if self.limit <= 1 else None

    def check(self, metrics: Sequence[MetricRecord], field: str = "constraint") -> None:
        """Refuse a constraint that no network of a task can meet, or that means nothing.

        Parameters
        ----------
        metrics
            Of the task.
        field
            Where it is written, for the message.

        Raises
        ------
        UsageError
            If the name is no metric and no size, or the limit is outside what it can be.
        """
        named = {metric.column: metric for metric in metrics}
        if self.column not in named and not is_size(self.column):
            allowed = [metric.name for metric in metrics]
            raise unknown_name(field, self.column.removeprefix("val_"), [*allowed, *SIZES])
        metric = named.get(self.column)
        least, most = -math.inf, math.inf
        if self.column == "density" or (metric is not None and metric.unit == "share"):
            least, most = 0.0, 1.0
        elif metric is not None and metric.unit == "score":
            most = 1.0
        elif metric is None:
            least = 0.0
        if not least <= self.limit <= most:
            raise UsageError(
                f"{field}: {str(self)!r}: {self.limit:g} is outside what {self.column} can be. "
                f"Allowed: {_span(least, most)}."
            )

    def violation(self, result: Mapping[str, Any]) -> float:
        """By how much a result fails it, in the column's unit; 0 or less where it is met.

        A figure that is not finite fails by infinity.
        """
        value = result[self.column]
        if self.share_of is not None:
            value = value / result[self.share_of]
        if not math.isfinite(value):
            return math.inf
        return float(self.limit - value if self.at_least else value - self.limit)

    def __str__(self) -> str:
        return f"{self.column} {'>=' if self.at_least else '<='} {self.limit:g}"


def _span(least: float, most: float) -> str:
    if math.isinf(most):
        return f"{least:g} and more"
    return f"up to {most:g}" if math.isinf(least) else f"{least:g} to {most:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
