"""Were the settings of trials varied independently of each other, so that effects can be told?"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2

from analysis.reading.results import Results
from analysis.statistics.grouping import grouped_by
from analysis.statistics.replicates import drawn

SETTINGS = (
    "retrain", "schedule", "rounds", "retrain_epochs", "rewind_epoch", "allocation", "saliency",
    "retrain_lr", "retrain_lr_schedule", "optimizer_state", "cost_exponent", "structure",
    "unit_sparsity",
)  # fmt: skip
"""What trials are told apart by; how sparse they are made is no way of pruning."""

ALIASED = 0.9
"""Cramér's V from which one setting stands for the other."""

CHANCE = 0.001
"""A table that is as uneven by chance as often as this has too few trials to tell."""


class Alias(NamedTuple):
    """Two settings that varied together.

    Parameters
    ----------
    a, b
        Columns of ``results.trials``; the values of ``a``, of which there are no fewer, tell those
        of ``b``.
    v
        Cramér's V, corrected for its bias: 1 where ``a`` determines ``b``.
    trials
        That have both.
    """

    a: str
    b: str
    v: float
    trials: int


def cross_table(results: Results, a: str, b: str) -> pd.DataFrame:
    """Count the trials that have each value of one setting and each of another.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned; replicates are left out, and so are trials without
        a finished round of pruning.
    a, b
        Columns of ``results.trials``. Of numbers with more than eight values, groups are the
        quarters of the trials.

    Returns
    -------
    DataFrame
        int64; the groups of ``a`` as rows and those of ``b`` as columns, both in their order.

    Raises
    ------
    UsageError
        If there is no such column.
    """
    results = _counted(results)
    rows, row_names = grouped_by(results, "a", a)
    columns, column_names = grouped_by(results, "b", b)
    counts = np.zeros((len(row_names), len(column_names)), dtype=np.int64)
    for row, column in zip(rows, columns.reindex(rows.index), strict=True):
        if row in row_names and column in column_names:  # a trial may have none
            counts[row_names.index(row), column_names.index(column)] += 1
    return pd.DataFrame(
        counts, index=pd.Index(row_names, name=a), columns=pd.Index(column_names, name=b)
    )


def aliased(results: Results) -> list[Alias]:
    """Pairs of settings of which one (nearly) determines the other, although both varied.

    The effects of such a pair cannot be told apart, whatever the results are.

    Returns
    -------
    list of Alias
        The strongest first. Settings that did not vary among the trials that have both are in no
        pair, nor are those of which there are too few trials to tell.

    References
    ----------
    Bergsma 2013, "A bias-correction for Cramér's V and Tschuprow's T".
    """
    varied = [name for name in SETTINGS if name in results.trials]
    found = []
    for first, second in combinations(varied, 2):
        counts = cross_table(results, first, second).to_numpy()
        counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
        if min(counts.shape, default=0) < 2:
            continue
        v, by_chance = association(counts)
        if v >= ALIASED and by_chance <= CHANCE:
            a, b = (first, second) if counts.shape[0] >= counts.shape[1] else (second, first)
            found.append(Alias(a, b, v, int(counts.sum())))
    return sorted(found, key=lambda pair: -pair.v)


def association(counts: np.ndarray) -> tuple[float, float]:
    """Cramér's V, corrected for its bias, and how often chance alone makes such a table.

    Parameters
    ----------
    counts
        Shape (rows, columns), at least two of each, none of them empty.
    """
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    squared = float(((counts - expected) ** 2 / expected).sum())
    rows, columns = counts.shape
    freedom = (rows - 1) * (columns - 1)
    # Of n trials with n different values anything is told; such tables come out as 0.
    excess = max(squared / total - freedom / (total - 1), 0.0)
    sizes = [size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)]
    span = min(sizes) - 1.0
    v = (excess / span) ** 0.5 if span > 0 else 0.0
    return min(v, 1.0), float(chi2.sf(squared, freedom))


def _counted(results: Results) -> Results:
    results = drawn(results)
    trials = results.trials[results.trials["rounds_finished"] > 0]
    return replace(results, trials=trials.reset_index(drop=True))
