"""How much a set of networks has found: the one hypervolume of search, report and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import moocore
import numpy as np

from study.errors import UsageError
from study.objectives import Direction, is_size
from study.records import MetricRecord

FLOOR_DENSITY = 0.01
"""The smallest density that counts where a space does not say what its smallest is."""

MOST_POINTS, LEAST_POINTS, TIMES_THE_ERROR = 0.10, 0.01, 5.0
"""A share's reference lies below dense by five times its error, but by 1 to 10 points."""

SHARE_OF_AN_AMOUNT = 0.5
"""An amount's reference is worse than dense by this share of its value."""

MOST_DENSE_RUNS = 32.0
"""A network that took as many epochs as this many dense runs is as dear as one may be."""


@dataclass(frozen=True)
class Axis:
    """One objective: from where on it counts, and where it counts in full.

    Parameters
    ----------
    column
        Of a round's record.
    reference
        In the unit of the column; what is no better counts for nothing.
    ideal
        In the same unit; what is better counts as this. Above the reference or below it, which
        says whether more is better.
    is_size
        Whether equal ratios count alike, as of density, rather than equal differences.
    """

    column: str
    reference: float
    ideal: float
    is_size: bool

    def __post_init__(self) -> None:
        ends = (self.reference, self.ideal)
        if not all(math.isfinite(end) for end in ends) or self.reference == self.ideal:
            raise UsageError(
                f"{self.column}: from {self.reference!r} to {self.ideal!r} is no axis; two "
                "different finite numbers are allowed"
            )
        if self.is_size and min(ends) <= 0:
            raise UsageError(
                f"{self.column}: from {self.reference!r} to {self.ideal!r} is no axis of a size; "
                "numbers above 0 are allowed"
            )

    def costs(self, values: np.ndarray) -> np.ndarray:
        """1 at the reference, above it where worse, 0 at the ideal and beyond it; NaN stay NaN."""
        if self.is_size:
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.log(values / self.ideal) / np.log(self.reference / self.ideal)
        else:
            shares = (values - self.ideal) / (self.reference - self.ideal)
        costs: np.ndarray = np.maximum(shares, 0.0)
        return costs


@dataclass(frozen=True)
class Volume:
    """The share of the box from reference to ideal that networks dominate.

    Parameters
    ----------
    axes
        One for each objective, in their order.

    Examples
    --------
    >>> volume = Volume((Axis("val_accuracy", 0.5, 1.0, False), Axis("density", 1.0, 0.01, True)))
    >>> round(volume.of(np.array([[0.75, 0.1]])), 6)
    0.25
    """

    axes: tuple[Axis, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a round's record, in the order of the axes."""
        return tuple(axis.column for axis in self.axes)

    @property
    def reference(self) -> dict[str, float]:
        """From where on each column counts."""
        return {axis.column: axis.reference for axis in self.axes}

    @property
    def ideal(self) -> dict[str, float]:
        """Where each column counts in full."""
        return {axis.column: axis.ideal for axis in self.axes}

    def costs(self, values: np.ndarray) -> np.ndarray:
        """Scale columns to costs of which the box has 0 to 1 on each.

        Parameters
        ----------
        values
            float64 of shape (networks, axes), in the units of the columns.

        Returns
        -------
        ndarray
            Of the same shape; at least 0, NaN where the value is.
        """
        columns = np.asarray(values, dtype=np.float64).reshape(-1, len(self.axes)).T
        return np.column_stack([
            axis.costs(column) for axis, column in zip(self.axes, columns, strict=True)
        ])  # fmt: skip

    def of(self, values: np.ndarray) -> float:
        """The share of the box that networks dominate, in [0, 1].

        Parameters
        ----------
        values
            float64 of shape (networks, axes), in the units of the columns. Rows with NaN count
            for nothing.
        """
        return dominated(self.costs(values))

    def with_reference(self, reference: Mapping[str, float]) -> Volume:
        """The same volume from elsewhere.

        Raises
        ------
        UsageError
            If a reference is at the ideal or beyond it: nothing would lie between.
        """
        axes = []
        for axis in self.axes:
            given = float(reference[axis.column])
            if (given > axis.ideal) != (axis.reference > axis.ideal) or given == axis.ideal:
                raise UsageError(
                    f"reference: {axis.column} is {given:g}, and nothing is better than "
                    f"{axis.ideal:g}. Allowed: "
                    f"{'above' if axis.reference > axis.ideal else 'below'} {axis.ideal:g}."
                )
            axes.append(replace(axis, reference=given))
        return Volume(tuple(axes))


def dominated(costs: np.ndarray) -> float:
    """The share of the unit box that costs dominate, of shape (networks, axes)."""
    inside = costs[(costs < 1.0).all(axis=1)]  # NaN are not
    if not len(inside):
        return 0.0
    return float(moocore.hypervolume(inside, ref=np.ones(costs.shape[1])))


def volume_for(
    objectives: Mapping[str, Direction],
    metrics: Sequence[MetricRecord],
    dense: Mapping[str, float],
    floor_density: float = FLOOR_DENSITY,
) -> Volume:
    """The volume of a study: from somewhat worse than dense to the smallest network of the space.

    Quality counts linearly. Of a share or a score to be maximised it counts from below dense, by
    five times the dense error but by 1 to 10 points, up to 1. Of one to be minimised the same
    towards 0. An amount counts from worse than dense by half of its value to better by its value:
    from 1.5 times the dense loss to 0.

    Sizes count by their ratio: density from 1 to the floor, multiply-adds and nonzero parameters
    from those of the dense network to as small a share of them. Epochs count from 32 dense runs
    down to one, which every network has.

    Parameters
    ----------
    objectives
        Columns of a round's record, and their directions.
    metrics
        Of the task.
    dense
        The dense network's value of each objective but density.
    floor_density
        The smallest density that the space holds, above 0 and below 1.

    Raises
    ------
    UsageError
        If an objective is neither a size nor a metric, the dense network has no finite value of
        it, or the floor is no density.
    """
    if not 0.0 < floor_density < 1.0:
        raise UsageError(f"floor_density: {floor_density!r} is not between 0 and 1, both excluded")
    named = {metric.column: metric for metric in metrics}
    axes = []
    for column in objectives:
        value = 1.0 if column == "density" else dense.get(column, math.nan)
        if not math.isfinite(value):
            raise UsageError(f"{column}: the dense network has no finite value of it")
        if is_size(column):
            axes.append(size_axis(column, value, floor_density))
        elif column in named:
            axes.append(quality_axis(named[column], value))
        else:
            raise UsageError(f"{column} is neither a size nor a metric of the task")
    return Volume(tuple(axes))


def size_axis(column: str, dense: float, floor_density: float) -> Axis:
    """From the dense network's size to the smallest that counts."""
    if column == "train_epochs":
        least = max(dense, 1.0)  # of a model that came trained, nothing was trained
        return Axis(column, MOST_DENSE_RUNS * least, least, True)
    return Axis(column, dense, floor_density * dense, True)


def quality_axis(metric: MetricRecord, dense: float) -> Axis:
    """From somewhat worse than dense to the best that there can be."""
    worse = -1.0 if metric.direction == "max" else 1.0
    if metric.unit == "amount":
        # A loss of 0 has no half; any amount will do there.
        scale = abs(dense) or 1.0
        return Axis(
            metric.column, dense + worse * SHARE_OF_AN_AMOUNT * scale, dense - worse * scale, False
        )
    ideal = 1.0 if metric.direction == "max" else min(0.0, math.floor(dense))
    error = abs(ideal - dense)
    margin = max(min(MOST_POINTS, TIMES_THE_ERROR * error), LEAST_POINTS)
    return Axis(metric.column, dense + worse * margin, ideal, False)
