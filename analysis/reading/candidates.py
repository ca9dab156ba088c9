"""Which networks count: all of their figures are finite, and they meet the study's constraints."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.reading.objectives import numbers_of
from analysis.reading.results import Results

QUOTIENTS = {
    "macs": "theoretical_speedup",
    "nonzero_parameters": "compression_ratio",
    "latency_ms": "speedup_measured",
}
"""Dense over pruned, by the column of a size."""


def has_figures(results: Results) -> np.ndarray:
    """Which rounds have finite figures in all metrics of their study; the others diverged.

    Returns
    -------
    ndarray
        bool, shape (rounds,).
    """
    return _of_each_study(results, _is_finite)


def is_candidate(results: Results) -> np.ndarray:
    """Which rounds may be on a front: they have figures, and meet their study's constraints.

    Returns
    -------
    ndarray
        bool, shape (rounds,).

    Raises
    ------
    UsageError
        If a constraint is on what is no column of the rounds.
    """
    return _of_each_study(results, lambda part, own: _is_finite(part, own) & meets(part, own))


def unmet_constraints(results: Results) -> str | None:
    """That no network may be recommended, where the study's constraints leave none; else None."""
    pruned = (results.rounds["round"] > 0).to_numpy()
    if not results.constraints or is_candidate(results)[pruned].any():
        return None
    written = " and ".join(str(each).removeprefix("val_") for each in results.constraints)
    return f"No network meets {written}, so none is recommended."


def meets(results: Results, networks: pd.DataFrame) -> np.ndarray:
    """Which networks of one study meet its constraints; an unknown figure meets none."""
    good = np.ones(len(networks), dtype=bool)
    for constraint in results.constraints:
        values = numbers_of(networks, "constraint", constraint.column)
        if constraint.share_of is not None:
            # Tables of means over seeds have the quotients, and not what the dense network costs.
            values = 1.0 / numbers_of(networks, "constraint", QUOTIENTS[constraint.column])
        limit = constraint.limit
        good &= values >= limit if constraint.at_least else values <= limit
    return good


def with_figures(results: Results) -> pd.DataFrame:
    """The rounds whose networks have not diverged."""
    return results.rounds[has_figures(results)]


def dense_value(results: Results) -> float:
    """Mean quality of the dense networks, a seed counted once; NaN where none has figures."""
    rounds = with_figures(results)
    dense = rounds[rounds["round"] == 0].drop_duplicates(["study", "seed"])
    return float(dense[results.quality.column].mean()) if len(dense) else math.nan


def _is_finite(results: Results, rounds: pd.DataFrame) -> np.ndarray:
    figures = rounds[[metric.column for metric in results.metrics]].to_numpy(dtype=np.float64)
    finite: np.ndarray = np.isfinite(figures).all(axis=1)
    return finite


def _of_each_study(
    results: Results, which: Callable[[Results, pd.DataFrame], np.ndarray]
) -> np.ndarray:
    if not results.parts:
        return which(results, results.rounds)
    found = np.zeros(len(results.rounds), dtype=bool)
    studies = results.rounds["study"].to_numpy()
    for name, part in results.parts.items():
        own = studies == name
        found[own] = which(part, results.rounds[own])
    return found
