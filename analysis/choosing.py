"""Which network to take: the knee, the best at a size, the smallest at an accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.objectives import DEFAULT_OBJECTIVES, Objectives, costs
from analysis.pareto import pareto_front
from analysis.replicates import networks
from analysis.results import Results

RATIOS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Compression ratios at which Blalock et al. 2020 ask for operating points."""

_ROUNDING = 1e-12


def knee_point(
    points: pd.DataFrame, objectives: Objectives = DEFAULT_OBJECTIVES
) -> pd.Series | None:
    """The point of the front from which either objective is dear to improve.

    Objectives are scaled to the range of the front. With two, the knee lies farthest from the
    straight line between the ends of the front, on the side of the better values; with more, it
    is nearest to the ideal corner.

    Returns
    -------
    Series or None
        The row; None where the front has fewer than three points, or bends nowhere.
    """
    front = pareto_front(points, objectives)
    if len(front) < 3:
        return None
    values = costs(front, objectives)
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    if scaled.shape[1] == 2:
        gain = 1.0 - scaled.sum(axis=1)
        if gain.max() <= _ROUNDING:
            return None
        return front.iloc[int(gain.argmax())]
    return front.iloc[int(np.linalg.norm(scaled, axis=1).argmin())]


def smallest_within(
    results: Results, drops: Sequence[float] = (0.0, 0.01, 0.02), size: str = "density"
) -> pd.DataFrame:
    """The smallest network that loses no more than a tolerated accuracy against dense.

    Of networks on several seeds the mean decides. Chosen on validation data, and so flattered:
    measure the chosen ones on test data and on new seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    drops
        Tolerated drops, as fractions (0.01 is one point).
    size
        Column in which less is smaller: ``"density"``; or ``"compression_ratio"`` and
        ``"theoretical_speedup"``, in which more is.

    Returns
    -------
    DataFrame
        A row a tolerance: ``tolerated_drop`` and the columns of :func:`analysis.networks`, NaN
        where no network is good enough.
    """
    table = networks(results)
    smaller = size == "density"
    rows = [
        _best(
            table[table["accuracy_drop"] <= drop + _ROUNDING],
            [size, "val_accuracy"],
            [smaller, False],
        )
        for drop in drops
    ]
    return _stack("tolerated_drop", drops, rows, table)


def best_at_density(
    results: Results, densities: Sequence[float] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
) -> pd.DataFrame:
    """The most accurate network that keeps no more than a share of the prunable weights.

    Returns
    -------
    DataFrame
        A row a density: ``at_most_density`` and the columns of :func:`analysis.networks`, NaN
        where no network is that small.
    """
    table = networks(results)
    rows = [
        _best(
            table[table["density"] <= density * (1 + 1e-9)],
            ["val_accuracy", "density"],
            [False, True],
        )
        for density in densities
    ]
    return _stack("at_most_density", densities, rows, table)


def operating_points(results: Results, ratios: Sequence[float] = RATIOS) -> pd.DataFrame:
    """The most accurate network near each compression ratio: from 0.8 to 1.25 times it.

    Returns
    -------
    DataFrame
        A row a ratio: ``near_ratio`` and the columns of :func:`analysis.networks`, NaN where no
        network is near.

    References
    ----------
    Blalock et al. 2020, "What is the state of neural network pruning?", section 6.
    """
    table = networks(results)
    rows = [
        _best(
            table[(table["compression_ratio"] / ratio).between(0.8, 1.25)],
            ["val_accuracy", "density"],
            [False, True],
        )
        for ratio in ratios
    ]
    return _stack("near_ratio", ratios, rows, table)


def _best(table: pd.DataFrame, by: list[str], ascending: list[bool]) -> pd.DataFrame:
    return table.sort_values(by, ascending=ascending, kind="stable").head(1)


def _stack(
    name: str, values: Sequence[float], rows: list[pd.DataFrame], table: pd.DataFrame
) -> pd.DataFrame:
    places = [row.index[0] if len(row) else -1 for row in rows]
    chosen = table.reindex(places).reset_index(drop=True)
    chosen.insert(0, name, list(values))
    chosen["n"] = chosen["n"].fillna(0).astype("int64")
    chosen["round"] = chosen["round"].astype("Int64")
    return chosen.drop(columns="recipe")
