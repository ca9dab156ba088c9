"""Of the groups of a study, the best and the worst at equal density and equal luck."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
import pandas as pd

from analysis.reading.results import Results
from analysis.statistics.best_of import best_difference, expected_best
from analysis.statistics.intervals import CONFIDENCE
from analysis.statistics.scoring import trial_scores


@dataclass(frozen=True)
class Farthest:
    """The two groups that are farthest apart, the best one first.

    Parameters
    ----------
    density
        Networks keep at most this share.
    names
        Of the groups.
    expected
        Mean over the runs of the expected best of k trials of each.
    trials
        Of each that have such a network, over all runs.
    k
        For each run (study and seed), of how many trials: of as many as its smallest group has.
    low, high
        Interval of the difference of ``expected``, corrected for the number of pairs that there
        are.
    pairs
        Of groups.
    """

    density: float
    names: tuple[str, str]
    expected: tuple[float, float]
    trials: tuple[int, int]
    k: tuple[int, ...]
    low: float
    high: float
    pairs: int


def farthest_groups(
    results: Results, by: str, density: float, confidence: float = CONFIDENCE
) -> Farthest | None:
    """Compare the groups of a study at one density.

    Only groups that every run tried which tried two of them are compared: others have other seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    by
        What makes a group, as in :func:`analysis.scores`.
    density
        Networks may keep at most this share of the prunable weights.
    confidence
        Of the interval.

    Returns
    -------
    Farthest or None
        None where no two groups have such a network on the same seeds.
    """
    way, value = results.quality.direction, results.quality.column
    table = trial_scores(results, by, densities=[density], value=value)
    runs = [run for _, run in table.groupby(["study", "seed"]) if run["group"].nunique() > 1]
    shared = set.intersection(*(set(run["group"]) for run in runs)) if runs else set()
    if len(shared) < 2:
        return None
    values = {name: [_values(run, name, value) for run in runs] for name in sorted(shared)}
    k = [min(len(own[place]) for own in values.values()) for place in range(len(runs))]
    expected = {name: _mean_best(own, k, way) for name, own in values.items()}
    ranked = sorted(expected, key=lambda name: expected[name], reverse=way == "max")
    first, last = ranked[0], ranked[-1]
    pairs = comb(len(shared), 2)
    # The farthest of many pairs are far apart by chance: each pair is allowed a part of the error.
    level = 1.0 - (1.0 - confidence) / pairs
    gap = best_difference(values[first], values[last], k, way, level)
    return Farthest(
        density,
        (first, last),
        (expected[first], expected[last]),
        (sum(map(len, values[first])), sum(map(len, values[last]))),
        tuple(k),
        gap.low,
        gap.high,
        pairs,
    )


def _values(run: pd.DataFrame, name: str, value: str) -> np.ndarray:
    values: np.ndarray = run.loc[run["group"] == name, value].to_numpy(dtype=np.float64)
    return values


def _mean_best(values: list[np.ndarray], k: list[int], way: Literal["max", "min"]) -> float:
    each = [expected_best(own, drawn, way) for own, drawn in zip(values, k, strict=True)]
    return float(np.mean(each))
