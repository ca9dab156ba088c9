"""How much a search has found: the hypervolume of its front, and its course over the budget."""

from __future__ import annotations

from collections.abc import Mapping

import moocore
import numpy as np
import pandas as pd

from analysis.fronts.staircase import area_history
from analysis.fronts.volumes import volume_of, volume_of_points
from analysis.reading.candidates import is_candidate
from analysis.reading.objectives import DEFAULT_OBJECTIVES, Objectives, numbers_of
from analysis.reading.results import Results
from analysis.spending.cost import elapsed_s
from analysis.spending.spending import AMOUNTS, round_costs, scan_train_samples
from study.volume import FLOOR_DENSITY, Volume, dominated


def reference_point(
    points: pd.DataFrame, objectives: Objectives = DEFAULT_OBJECTIVES
) -> dict[str, float]:
    """The corner from which hypervolume is measured, in the units of the columns.

    Sizes count from the dense network's: density and ratios from 1. Where ``points`` hold dense
    networks (``round`` 0), accuracy counts from below their mean by five times its error, but by
    1 to 10 points, and a loss from half above it. Without them accuracy counts from 0, and anything
    else from the worst finite value in ``points``: to compare, give the same reference to all.
    """
    return volume_of_points(points, objectives).reference


def hypervolume(
    points: pd.DataFrame,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    reference: Mapping[str, float] | None = None,
    *,
    floor: float = FLOOR_DENSITY,
) -> float:
    """Share of the box from the reference to the ideal that the points dominate, in [0, 1].

    Quality counts linearly up to its bound: accuracy up to 1, a loss down to 0. Sizes count by
    their ratio, so that each halving of the density is worth as much as the one before.

    Parameters
    ----------
    points
        For example ``results.rounds``. Rows with NaN count for nothing.
    objectives
        Columns and their directions.
    reference
        A value for each objective; unset: :func:`analysis.reference_point`. State it with the
        figure.
    floor
        Networks of which less than this share is left count as if this share were left.

    Raises
    ------
    UsageError
        If the reference lacks an objective, is not finite or leaves nothing better, a column does
        not exist or holds no numbers, or the floor is not between 0 and 1.

    References
    ----------
    Zitzler & Thiele 1998, "Multiobjective optimization using evolutionary algorithms".
    """
    volume = volume_of_points(points, objectives, reference, floor)
    return dominated(costs_of(points, volume))


def costs_of(points: pd.DataFrame, volume: Volume) -> np.ndarray:
    """The columns of a volume, each scaled to 0 at its ideal and 1 at its reference."""
    columns = [numbers_of(points, "objective", column) for column in volume.columns]
    return volume.costs(np.column_stack(columns))


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
        A value for each objective; unset: somewhat worse than the mean dense network. A share
        counts from five times the dense error below dense, but from 1 to 10 points below; an
        amount such as perplexity from half above it; sizes from those of the dense network, down
        to the smallest that the space holds. It is the same for all studies.

    Returns
    -------
    DataFrame
        A row for each round that made the hypervolume larger, and the last round of the study:
        study, trial_id, round, networks (pruned networks evaluated so far), train_epochs,
        train_samples and wall_s (spent so far, wall summed over trials), elapsed_s (since the
        study began), hypervolume (in [0, 1]). ``attrs["reference"]`` has the reference,
        ``attrs["ideal"]`` the other corner of the box.

    Raises
    ------
    UsageError
        As :func:`analysis.hypervolume`.
    """
    volume = volume_of(results, objectives, reference)
    return history_in(results, volume)


def history_in(results: Results, volume: Volume) -> pd.DataFrame:
    """The same in a given volume."""
    rounds = results.rounds
    costs = costs_of(rounds, volume)
    costs[~is_candidate(results)] = np.nan
    spent = round_costs(rounds)
    parts = [
        _history(rounds, costs, spent, results.parts.get(study, results), rows)
        for study, rows in _rows_by_study(rounds)
    ]
    columns = ["study", "trial_id", "round", "networks", *AMOUNTS, "elapsed_s", "hypervolume"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    table.attrs["reference"], table.attrs["ideal"] = volume.reference, volume.ideal
    return table


def _rows_by_study(rounds: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    groups = rounds.groupby("study", sort=False).indices
    return [(str(study), np.asarray(rows)) for study, rows in groups.items()]


def _history(
    rounds: pd.DataFrame,
    costs: np.ndarray,
    spent: pd.DataFrame,
    results: Results,
    rows: np.ndarray,
) -> pd.DataFrame:
    """The history of one study, whose rounds these rows are."""
    moments = rounds["finished_at"].dt.tz_convert(None).to_numpy()[rows]
    rows = rows[np.argsort(moments, kind="stable")]
    corner = np.ones(costs.shape[1])
    history = area_history if costs.shape[1] == 2 else _volume_history
    grown, volumes = history(costs[rows], corner)
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
