"""Differences between groups that ran on the same seeds, with their uncertainty."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtr

from analysis.statistics.intervals import t_interval
from study.errors import unknown_name

LEAST_SEEDS = 6
"""Seeds below which no p-value is given: a sign test could not reach 0.05 with five."""

LEAST_FOR_EFFECT = 3
"""Seeds below which no effect size is given: Hedges' correction is 0 with two."""

DIFFERENCE_COLUMNS = ("difference", "low", "high", "n", "effect_size", "p_value")

COUNTED = ("networks", "trials", "k")
"""What a value was chosen from."""

_ROUNDING = 1e-12
"""Spread, as a share of the values, below which differences are equal but for rounding."""


def paired_table(
    table: pd.DataFrame,
    value: str,
    levels: Sequence[str],
    runs: Sequence[str],
    baseline: str | None,
    confidence: float,
) -> pd.DataFrame:
    """Every pair of groups at every level, paired by run; corrected over all rows.

    Parameters
    ----------
    table
        Columns group, ``value``, those of ``levels`` and ``runs``, and any of networks, trials
        and k, of which the mean is told for each group; one row each.
    value
        What differs.
    levels
        Columns within which groups are compared.
    runs
        Columns that tell runs apart.
    baseline
        The group that the others are compared with; unset: every pair.
    confidence
        Of the intervals.

    Raises
    ------
    UsageError
        If there is no such group, or ``confidence`` is no share.
    """
    groups = sorted(table["group"].unique())
    if baseline is not None and baseline not in groups:
        raise unknown_name("baseline", str(baseline), groups)
    pairs = (
        list(combinations(groups, 2))
        if baseline is None
        else [(group, baseline) for group in groups if group != baseline]
    )
    counted = [name for name in COUNTED if name in table]
    rows = []
    for keys, level in table.groupby(list(levels), sort=False):
        place: dict[Hashable, object] = dict(zip(levels, keys, strict=True))
        values = level.pivot_table(index=list(runs), columns="group", values=value)
        counts = level.groupby("group")[counted].mean()
        for a, b in pairs:
            if a in values and b in values:
                facts = paired_difference((values[a] - values[b]).dropna().to_numpy(), confidence)
                many = {
                    f"{name}_{side}": counts.loc[group, name]
                    for name in counted
                    for side, group in (("a", a), ("b", b))
                }
                rows.append({"a": a, "b": b} | place | facts | many)
    many_columns = [f"{name}_{side}" for name in counted for side in "ab"]
    columns = ["a", "b", *levels, *DIFFERENCE_COLUMNS, "p_holm", *many_columns]
    compared = pd.DataFrame(rows, columns=[name for name in columns if name != "p_holm"])
    compared = compared[compared["n"] > 0].reset_index(drop=True)
    compared["p_holm"] = holm(compared["p_value"].to_numpy(dtype=np.float64))
    return compared[columns]


def paired_difference(differences: np.ndarray, confidence: float) -> dict[str, float]:
    """Mean of paired differences: its interval, effect size and p-value.

    Of differences that are all the same a t-test says nothing, for it knows of no spread: effect
    size and p-value are NaN, and the interval has no width.
    """
    interval = t_interval(differences, confidence)
    n = interval.n
    effect = p_value = np.nan
    if n >= 2 and interval.std > _ROUNDING * max(float(np.abs(differences).max()), 1.0):
        ratio = interval.mean / interval.std
        if n >= LEAST_FOR_EFFECT:
            effect = ratio * (1.0 - 3.0 / (4.0 * (n - 1) - 1.0))
        if n >= LEAST_SEEDS:
            p_value = float(2.0 * stdtr(n - 1, -abs(ratio) * np.sqrt(n)))
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": n,
        "effect_size": effect,
        "p_value": p_value,
    }


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for their number; NaN are no tests and stay NaN.

    References
    ----------
    Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
