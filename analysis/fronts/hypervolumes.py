"""How much a search has found: the hypervolume of its front, and its course over the budget."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import moocore
import numpy as np
import pandas as pd

from analysis.fronts.staircase import area_history
from analysis.reading.candidates import has_figures, is_candidate
from analysis.reading.objectives import DEFAULT_OBJECTIVES, Objectives, costs
from analysis.reading.results import Results
from analysis.spending.cost import elapsed_s
from analysis.spending.spending import AMOUNTS, round_costs, scan_train_samples
from study.errors import UsageError

WORST = {
    "val_accuracy": 0.0,
    "test_accuracy": 0.0,
    "density": 1.0,
    "sparsity": 0.0,
    "compression_ratio": 1.0,
    "theoretical_speedup": 1.0,
}
"""References that are the same for every study; of other columns the worst value seen is taken."""


def reference_point(
    points: pd.DataFrame, objectives: Objectives = DEFAULT_OBJECTIVES
) -> dict[str, float]:
    """The corner from which hypervolume is measured, in the units of the columns.

    Bounded columns have their bound (accuracy 0, density 1, compression 1), so that studies can
    be compared. Of others it is the worst finite value in ``points``, and NaN where there is
    none; to compare studies, give the same reference to all.
    """
    values = costs(points, objectives)
    reference = {}
    for column, (name, way) in zip(values.T, objectives.items(), strict=True):
        finite = column[np.isfinite(column)]
        sign = -1.0 if way == "max" else 1.0
        seen = sign * float(finite.max()) if len(finite) else np.nan
        natural = {"max": (0.0, 1.0), "min": (1.0,)}[way]
        reference[name] = WORST[name] if WORST.get(name) in natural else seen
    return reference


def hypervolume(
    points: pd.DataFrame,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    reference: Mapping[str, float] | None = None,
) -> float:
    """Volume that the points dominate, up to the reference.

    Parameters
    ----------
    points
        For example ``results.rounds``. Rows with NaN count for nothing.
    objectives
        Columns and their directions.
    reference
        A value for each objective; unset: :func:`reference_point`. State it with the figure.

    Raises
    ------
    UsageError
        If the reference lacks an objective or is not finite, or a column does not exist or holds
        no numbers.
    """
    values = costs(points, objectives)
    corner = _corner(points, objectives, reference)
    usable = values[np.isfinite(values).all(axis=1) & (values < corner).all(axis=1)]
    if not len(usable):
        return 0.0
    return float(moocore.hypervolume(usable, ref=corner))


def hypervolume_history(
    results: Results,
    objectives: Objectives | None = None,
    reference: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """How the hypervolume grew with the budget, in the order in which rounds were finished.

    Networks that have diverged, or fail a constraint of their study, add nothing. The dense run
    that trials share is charged once (see :func:`analysis.round_costs`).

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Columns of ``results.rounds`` and their directions; unset: those of the study.
    reference
        A value for each objective; unset: a bound of each column, or for an amount such as
        perplexity what is worse than dense by its own value, or than half of the networks.

    Returns
    -------
    DataFrame
        A row for each round that made the hypervolume larger, and the last round of the study:
        study, trial_id, round, networks (pruned networks evaluated so far), train_epochs,
        train_samples and wall_s (spent so far, wall summed over trials), elapsed_s (since the
        study began), hypervolume. ``attrs["reference"]`` has the reference.

    Raises
    ------
    UsageError
        As :func:`analysis.hypervolume`.
    """
    rounds = results.rounds
    objectives = results.objectives if objectives is None else objectives
    values = costs(rounds, objectives)
    values[~is_candidate(results)] = np.nan
    if reference is None:
        reference = reference_of(results, objectives)
    else:
        check_reference(objectives, reference)
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    corner = signs * np.array([reference[name] for name in objectives])
    spent = round_costs(rounds)
    parts = [
        _history(rounds, values, spent, results.parts.get(study, results), rows, corner)
        for study, rows in _rows_by_study(rounds)
    ]
    columns = ["study", "trial_id", "round", "networks", *AMOUNTS, "elapsed_s", "hypervolume"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    table.attrs["reference"] = dict(zip(objectives, (corner * signs).tolist(), strict=True))
    return table


def reference_of(results: Results, objectives: Objectives) -> dict[str, float]:
    """The corner from which the hypervolumes of studies are measured.

    As :func:`reference_point`, but 0 for any share or score of which more is better, 1 for a share
    of which less is, and for an amount, which has no bound, what is worse by the dense network's
    own value, or what half of the pruned networks do better than if that is worse still: one
    network that has nearly diverged would make all others look the same.
    """
    rounds = results.rounds[has_figures(results)]
    reference = reference_point(rounds, objectives)
    for metric in results.metrics:
        if metric.column not in objectives:
            continue
        upwards = metric.direction == "max"
        if metric.unit != "amount":
            natural = 0.0 if upwards else 1.0
            bounded = upwards or metric.unit == "share"
            reference[metric.column] = natural if bounded else reference[metric.column]
            continue
        values, is_dense = rounds[metric.column], rounds["round"] == 0
        dense, middle = values[is_dense].mean(), values[~is_dense].median()
        corners = [dense - abs(dense) if upwards else dense + abs(dense), middle]
        known = [float(each) for each in corners if np.isfinite(each)]
        if known:
            reference[metric.column] = min(known) if upwards else max(known)
    return reference


def _rows_by_study(rounds: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    groups = rounds.groupby("study", sort=False).indices
    return [(str(study), np.asarray(rows)) for study, rows in groups.items()]


def _history(
    rounds: pd.DataFrame,
    values: np.ndarray,
    spent: pd.DataFrame,
    results: Results,
    rows: np.ndarray,
    corner: np.ndarray,
) -> pd.DataFrame:
    """The history of one study, whose rounds these rows are."""
    moments = rounds["finished_at"].dt.tz_convert(None).to_numpy()[rows]
    rows = rows[np.argsort(moments, kind="stable")]
    if values.shape[1] == 2:
        grown, volumes = area_history(values[rows], corner)
    else:
        grown, volumes = _volume_history(values[rows], corner)
    if not len(grown) or grown[-1] != len(rows) - 1:
        grown = np.append(grown, len(rows) - 1)
        volumes = np.append(volumes, volumes[-1] if len(volumes) else 0.0)
    keys = rounds[["study", "trial_id", "round"]]
    table: pd.DataFrame = keys.iloc[rows[grown]].reset_index(drop=True)
    table["networks"] = np.cumsum(rounds["round"].to_numpy()[rows] > 0)[grown]
    for name in AMOUNTS:
        table[name] = np.cumsum(spent[name].to_numpy()[rows])[grown]
    table["train_samples"] += scan_train_samples(results)  # before the first trial
    finished = rounds["finished_at"].iloc[rows[grown]].reset_index(drop=True)
    table["elapsed_s"] = elapsed_s(results, finished)
    table["hypervolume"] = volumes
    return table


def _volume_history(values: np.ndarray, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same as :func:`area_history` for any number of costs."""
    inside = np.flatnonzero(np.isfinite(values).all(axis=1) & (values < corner).all(axis=1))
    front = np.empty((0, values.shape[1]))
    grown: list[int] = []
    volumes: list[float] = []
    start, size = 0, 64
    while start < len(inside):
        chunk = inside[start : start + size]
        start, size = start + size, min(2 * size, 4096)
        beaten = np.any((front[None] <= values[chunk][:, None]).all(axis=2), axis=1)
        for position in chunk[~beaten]:
            point = values[position]
            if np.any((front <= point).all(axis=1)):
                continue
            front = np.vstack([front[~(point <= front).all(axis=1)], point])
            grown.append(int(position))
            volumes.append(float(moocore.hypervolume(front, ref=corner)))
    return np.array(grown, dtype=np.int64), np.array(volumes)


def _corner(
    points: pd.DataFrame, objectives: Objectives, reference: Mapping[str, float] | None
) -> np.ndarray:
    if reference is not None:
        check_reference(objectives, reference)
    given = reference_point(points, objectives) if reference is None else reference
    signs = [-1.0 if way == "max" else 1.0 for way in objectives.values()]
    return np.array([sign * given[name] for sign, name in zip(signs, objectives, strict=True)])


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
