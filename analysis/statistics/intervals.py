"""Means with Student-t intervals: what a handful of seeds can tell, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.statistics.levels import checked_confidence

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its confidence interval.

    ``low`` and ``high`` are NaN where one value, or none, gives no idea of the spread.
    """

    mean: float
    low: float
    high: float
    std: float
    n: int


def t_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Mean and Student-t interval of independent values; NaN are left out.

    With three seeds a bootstrap interval covers the truth about 74 times in 100 instead of 95;
    this one covers it 95 times where values are normal.

    Parameters
    ----------
    values
        One value for each seed.
    confidence
        Share of such intervals that hold the true mean, between 0 and 1.

    Raises
    ------
    UsageError
        If ``confidence`` is no share.

    Examples
    --------
    >>> interval = t_interval([0.91, 0.92, 0.93])
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.895, 0.945)
    """
    quantile = 0.5 + checked_confidence(confidence) / 2
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    count = len(numbers)
    if count == 0:
        return Interval(np.nan, np.nan, np.nan, np.nan, 0)
    mean = float(numbers.mean())
    if count == 1:
        return Interval(mean, np.nan, np.nan, np.nan, 1)
    spread = float(numbers.std(ddof=1))
    half = float(stdtrit(count - 1, quantile)) * spread / np.sqrt(count)
    return Interval(mean, mean - half, mean + half, spread, count)


def t_intervals(
    frame: pd.DataFrame, value: str, by: list[str], confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """The interval of one column in every group.

    Returns
    -------
    DataFrame
        Columns ``by``, mean, low, high, std, n; in the order in which the groups appear.
    """
    quantile = 0.5 + checked_confidence(confidence) / 2
    # Infinities are no values, as in t_interval.
    finite = frame.assign(**{value: frame[value].replace([np.inf, -np.inf], np.nan)})
    groups = finite.groupby(by, sort=False, observed=True, dropna=False)[value]
    table = groups.agg(["mean", "std", "count"]).reset_index()
    n = table["count"].to_numpy()
    factor = stdtrit(np.maximum(n - 1, 1), quantile) / np.sqrt(np.maximum(n, 1))
    half = np.where(n > 1, factor * table["std"].to_numpy(), np.nan)
    return pd.DataFrame(
        {
            **{name: table[name] for name in by},
            "mean": table["mean"],
            "low": table["mean"] - half,
            "high": table["mean"] + half,
            "std": table["std"],
            "n": n,
        }
    )
