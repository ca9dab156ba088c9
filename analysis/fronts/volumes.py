"""From where to where the hypervolume of points, or of studies, is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real

import numpy as np
import pandas as pd

from analysis.reading.candidates import has_figures
from analysis.reading.metrics import CLASSIFIER
from analysis.reading.objectives import Objectives, check_objectives, numbers_of
from analysis.reading.results import Results
from analysis.style import label
from study.errors import UsageError
from study.objectives import is_size
from study.records import MetricRecord
from study.telling import Telling, size_text
from study.volume import FLOOR_DENSITY, Axis, Volume, quality_axis, size_axis

RATIOS = ("compression_ratio", "theoretical_speedup", "speedup_measured")
"""How many times smaller or faster than dense: the larger, the better."""

_UNPRUNED = {"macs": "dense_macs", "nonzero_parameters": "total_parameters"}
"""Columns of any round that hold the dense network's size."""


def volume_of(
    results: Results,
    objectives: Objectives | None = None,
    reference: Mapping[str, float] | None = None,
) -> Volume:
    """From where to where the hypervolume of studies is measured: for all of them the same.

    As :func:`study.volume.volume_for` says, from the mean of the dense networks (a seed of a
    study counts once) to the smallest density that a study's space holds. Where no dense network
    has figures, the best network stands for it. A compression ratio or a speedup counts from 1, by
    its ratio; a column that is neither a size nor a metric from its worst value to its best one.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Columns of ``results.rounds`` and their directions; unset: those of the study.
    reference
        A value for each objective instead.

    Raises
    ------
    UsageError
        If a column does not exist or holds no numbers, or the reference is not finite or leaves
        nothing that is better.
    """
    objectives = results.objectives if objectives is None else objectives
    if reference is not None:
        check_reference(objectives, reference)
    check_objectives(objectives)
    rounds = results.rounds[has_figures(results)]
    axes = []
    for column, way in objectives.items():
        values, metric = numbers_of(rounds, "objective", column), results.metric_of(column)
        dense = _dense_value(rounds, column)
        if metric is not None and way == metric.direction and not np.isfinite(dense):
            dense = _ends(values, way)[1]
        axes.append(_axis(column, way, values, dense, metric, floor_of(results)))
    volume = Volume(tuple(axes))
    return volume if reference is None else volume.with_reference(reference)


def volume_of_points(
    points: pd.DataFrame,
    objectives: Objectives,
    reference: Mapping[str, float] | None = None,
    floor: float = FLOOR_DENSITY,
) -> Volume:
    """The same for points of which no more is known; see :func:`analysis.reference_point`.

    Raises
    ------
    UsageError
        As :func:`volume_of`, and if the floor is no density.
    """
    if not (isinstance(floor, Real) and 0.0 < float(floor) < 1.0):
        raise UsageError(f"floor: {floor!r} is not between 0 and 1, both excluded")
    check_objectives(objectives)
    if reference is not None:
        check_reference(objectives, reference)
    axes = []
    for column, way in objectives.items():
        values, dense = numbers_of(points, "objective", column), _dense_value(points, column)
        named = (each for each in CLASSIFIER if column in (each.column, each.test_column))
        metric = next(named, None)
        if metric is not None and metric.unit == "share" and not np.isfinite(dense):
            axes.append(Axis(column, 0.0, 1.0, False))
        else:
            axes.append(_axis(column, way, values, dense, metric, float(floor)))
    volume = Volume(tuple(axes))
    return volume if reference is None else volume.with_reference(reference)


def floor_of(results: Results) -> float:
    """The smallest density that the space of a study holds, of several studies the smallest.

    It is what the study said when its search began; 0.01 of a study that said nothing.
    """
    return min(_own_floor(part) for part in results.parts.values() or (results,))


def _own_floor(results: Results) -> float:
    events = results.events
    begun = events.loc[events["event"] == "search_started", "detail"]
    floors = [detail.get("floor_density") for detail in begun if isinstance(detail, Mapping)]
    known = [float(floor) for floor in floors if isinstance(floor, Real)]
    return min((floor for floor in known if 0.0 < floor < 1.0), default=FLOOR_DENSITY)


def span_text(volume: Volume, results: Results) -> str:
    """From where to where it is measured: from 87.0 % accuracy and density 1 to density 0.01."""
    starts = [_told(axis.column, axis.reference, results) for axis in volume.axes]
    ends = [_told(axis.column, axis.ideal, results) for axis in volume.axes if axis.is_size]
    return f"from {' and '.join(starts)}" + (f" to {' and '.join(ends)}" if ends else "")


def check_reference(objectives: Objectives, reference: Mapping[str, float]) -> None:
    """Refuse a reference that is not a finite number for each objective.

    Raises
    ------
    UsageError
        It names what is missing or wrong.
    """
    if not isinstance(reference, Mapping):
        raise UsageError(f"reference: {reference!r} is not a mapping of objectives to numbers")
    missing = [name for name in objectives if name not in reference]
    if missing:
        raise UsageError(f"reference: no value for {', '.join(missing)}")
    for name in objectives:
        value = reference[name]
        if not (isinstance(value, Real) and np.isfinite(value)):
            raise UsageError(f"reference: {name} is {value!r}; a finite number is allowed")


def _axis(
    column: str,
    way: str,
    values: np.ndarray,
    dense: float,
    metric: MetricRecord | None,
    floor: float,
) -> Axis:
    """The axis of a column that may be anything, with these values."""
    if metric is not None and way == metric.direction and np.isfinite(dense):
        return replace(quality_axis(metric, dense), column=column)
    if column in RATIOS and way == "max":
        return Axis(column, 1.0, 1.0 / floor, True)
    worst, best = _ends(values, way)
    if is_size(column) and way == "min":
        largest = dense if np.isfinite(dense) else worst
        # Without any value nothing counts, from wherever it is measured.
        return size_axis(column, largest if np.isfinite(largest) else 1.0, floor)
    if not np.isfinite(worst):
        worst = best = 0.0
    return Axis(column, worst, _ideal(worst, best, 1.0 if way == "max" else -1.0), False)


def _ideal(worst: float, best: float, sign: float) -> float:
    """1 for what never passes it, 0 for what is never below it, else the best that was seen."""
    bound = 1.0 if sign > 0 else 0.0
    if sign * (bound - best) >= 0 and sign * (bound - worst) > 0:
        return bound
    return best if best != worst else worst + sign


def _ends(values: np.ndarray, way: str) -> tuple[float, float]:
    """The worst and the best of the finite values; NaN without one."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if way == "max" else (high, low)


def _dense_value(rounds: pd.DataFrame, column: str) -> float:
    """Of the dense networks, their mean; NaN where none is known."""
    if column == "density":
        return 1.0
    if "round" not in rounds:
        return np.nan
    dense = rounds[rounds["round"] == 0]
    if {"study", "seed"} <= set(rounds):
        dense = dense.drop_duplicates(["study", "seed"])
    known = numbers_of(dense, "objective", column)
    if not np.isfinite(known).any() and _UNPRUNED.get(column) in rounds:
        known = numbers_of(rounds, "objective", _UNPRUNED[column])
    finite = known[np.isfinite(known)]
    return float(finite.mean()) if len(finite) else np.nan


def _told(column: str, value: float, results: Results) -> str:
    metric = results.metric_of(column)
    if metric is not None:
        return Telling(metric).named(value)
    return size_text(column, value) if is_size(column) else f"{label(column)} {value:g}"
