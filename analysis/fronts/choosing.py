"""Which network to take: the knee, the best at a size, the smallest at a quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.fronts.pareto import pareto_front
from analysis.reading.objectives import DEFAULT_OBJECTIVES, Objectives, costs
from analysis.reading.results import Results
from analysis.statistics.intervals import CONFIDENCE
from analysis.statistics.levels import checked_levels
from analysis.statistics.replicates import MEASURES, networks
from analysis.statistics.scoring import DENSITIES
from study.errors import UsageError, unknown_name
from study.telling import is_tolerable

RATIOS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Compression ratios at which Blalock et al. 2020 ask for operating points."""

_ROUNDING = 1e-12
_DECIMALS = 10


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

    Raises
    ------
    UsageError
        If the points are of several studies, each of which has a knee of its own, or an
        objective is no column of theirs.
    """
    if "study" in points.columns and points["study"].nunique() > 1:
        names = ", ".join(str(name) for name in points["study"].unique())
        raise UsageError(
            f"points: of several studies ({names}), each of which has a knee of its own; give "
            "those of one, or drop the column study to take them as one"
        )
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
    results: Results,
    drops: Sequence[float] = (0.0, 0.01, 0.02),
    size: str | None = None,
    *,
    sure: bool = False,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """The smallest network that is no more than tolerated worse than dense.

    Of networks on several seeds the mean decides. Chosen on validation data, and so flattered:
    measure the chosen ones on test data and on new seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    drops
        Tolerated drops of the study's quality: 0.01 is one point of an accuracy or another share,
        0.01 of a score such as R², and 1 % of the dense network's value of an amount such as
        perplexity.
    size
        Column in which less is smaller: ``"density"``, ``"macs"``, ``"nonzero_parameters"`` or
        ``"train_epochs"``; or ``"compression_ratio"`` and ``"theoretical_speedup"``, in which
        more is. Unset: what the study makes small.
    sure
        Whether the whole interval of the drop must be tolerable, and not only its mean. Networks
        on one seed have no interval, and never are.
    confidence
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row a tolerance, for each study: ``tolerated_drop`` and the columns of
        :func:`analysis.networks`, with standard deviations and intervals; NaN where no network
        is good enough and meets the study's constraints.

    Raises
    ------
    UsageError
        If studies are judged by different metrics, ``size`` is no such column, a drop is no number,
        or ``confidence`` is no share.
    """
    size = results.size if size is None else size
    if size not in MEASURES:
        raise unknown_name("size", str(size), MEASURES)
    levels = checked_levels("drops", drops, low=-1.0)
    quality = results.quality
    decides = "drop_high" if sure else quality.drop_column

    def fitting(table: pd.DataFrame, drop: float) -> pd.DataFrame:
        dense = table[f"dense_{quality.name}"]
        good: pd.Series = is_tolerable(quality, table[decides], dense, drop)
        return table[good]

    return _chosen(results, "tolerated_drop", levels, fitting, [size, quality.column], confidence)


def best_at_density(
    results: Results,
    densities: Sequence[float] = DENSITIES,
    *,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """The best network that keeps no more than a share of the prunable weights.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    densities
        The shares.
    confidence
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row a density, for each study: ``at_most_density`` and the columns of
        :func:`analysis.networks`, with standard deviations and intervals; NaN where no network
        is that small.

    Raises
    ------
    UsageError
        If a density is not above 0, or ``confidence`` is no share.
    """
    levels = checked_levels("densities", densities)

    def fitting(table: pd.DataFrame, density: float) -> pd.DataFrame:
        return table[table["density"] <= density * (1 + 1e-9)]

    best = [results.quality.column, results.size]
    return _chosen(results, "at_most_density", levels, fitting, best, confidence)


def operating_points(
    results: Results, ratios: Sequence[float] = RATIOS, *, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """The best network near each compression ratio: from 0.8 to 1.25 times it.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ratios
        Of all parameters to those that are not zero.
    confidence
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row a ratio, for each study: ``near_ratio`` and the columns of
        :func:`analysis.networks`, with standard deviations and intervals; NaN where no network
        is near.

    Raises
    ------
    UsageError
        If a ratio is not above 0, or ``confidence`` is no share.

    References
    ----------
    Blalock et al. 2020, "What is the state of neural network pruning?", section 6.
    """
    levels = checked_levels("ratios", ratios)

    def fitting(table: pd.DataFrame, ratio: float) -> pd.DataFrame:
        return table[(table["compression_ratio"] / ratio).between(0.8, 1.25)]

    best = [results.quality.column, results.size]
    return _chosen(results, "near_ratio", levels, fitting, best, confidence)


def _chosen(
    results: Results,
    name: str,
    levels: Sequence[float],
    fitting: Callable[[pd.DataFrame, float], pd.DataFrame],
    by: list[str],
    confidence: float,
) -> pd.DataFrame:
    """Of the networks of each study that may be recommended and fit a level, the best in order."""
    table = networks(results, confidence)
    table = table[table["meets_constraints"]]
    ascending = [results.direction_of(name) == "min" for name in by]
    places, studies = [], []
    for study in results.parts or (results.name,):
        own = table[table["study"] == study]
        for level in levels:
            # Means over seeds that differ in their last bit are equal.
            keys = fitting(own, level)[by].round(_DECIMALS)
            best = keys.sort_values(by, ascending=ascending, kind="stable")
            places.append(best.index[0] if len(best) else -1)
            studies.append(study)
    chosen = table.reindex(places).reset_index(drop=True)
    chosen["study"] = pd.Series(studies, dtype="str")
    chosen.insert(0, name, list(levels) * len(results.parts or (results.name,)))
    chosen["n"] = chosen["n"].fillna(0).astype("int64")
    chosen["round"] = chosen["round"].astype("Int64")
    return chosen.drop(columns=["recipe", "meets_constraints"])
