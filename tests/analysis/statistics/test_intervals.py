from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from study.errors import UsageError


def _coverage(count: int, confidence: float, repeats: int = 20_000) -> float:
    """How often the interval holds the true mean, by simulation."""
    rng = np.random.default_rng(count)
    draws = rng.normal(0.9, 0.01, (repeats, count))
    frame = pd.DataFrame({"run": np.repeat(np.arange(repeats), count), "value": draws.ravel()})
    table = analysis.t_intervals(frame, "value", ["run"], confidence)
    return float(((table["low"] <= 0.9) & (table["high"] >= 0.9)).mean())


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int, confidence: float) -> None:
    # Three standard errors of a share over 20,000 simulations.
    slack = 3 * math.sqrt(confidence * (1 - confidence) / 20_000)
    assert _coverage(count, confidence) == pytest.approx(confidence, abs=slack)


def test_a_bootstrap_of_three_seeds_would_not() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        values = rng.normal(size=3)
        means = values[rng.integers(0, 3, (200, 3))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low <= 0 <= high
    assert held / 2000 < 0.8


def test_an_interval_is_that_of_the_t_test() -> None:
    values = [0.91, 0.93, 0.90, 0.95, 0.92]
    interval = analysis.t_interval(values, 0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.n == 5


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    one = analysis.t_interval([0.9, math.nan])
    assert one.mean == 0.9
    assert one.n == 1
    assert math.isnan(one.low)
    none = analysis.t_interval([])
    assert math.isnan(none.mean)
    assert none.n == 0


def test_intervals_of_groups_are_those_of_each_group() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": list("abbcccc"), "x": rng.normal(size=7)})
    frame.loc[3, "x"] = math.nan
    table = analysis.t_intervals(frame, "x", ["g"]).set_index("g")
    for name, group in frame.groupby("g"):
        single = analysis.t_interval(group["x"].to_numpy())
        row = table.loc[name, ["mean", "low", "high", "std", "n"]]
        assert row.to_numpy(dtype=float) == pytest.approx(np.array(single), nan_ok=True)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 2, 95, -0.5, math.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence: float) -> None:
    with pytest.raises(UsageError, match="confidence"):
        analysis.t_interval([1.0, 2.0], confidence)
    with pytest.raises(UsageError, match="confidence"):
        analysis.t_intervals(pd.DataFrame({"g": [1], "x": [1.0]}), "x", ["g"], confidence)


def test_infinities_are_no_values_in_either() -> None:
    values = [1.0, 2.0, math.inf, 4.0]
    single = analysis.t_interval(values)
    row = analysis.t_intervals(pd.DataFrame({"g": 1, "x": values}), "x", ["g"]).iloc[0]
    assert row[["mean", "low", "high", "std", "n"]].tolist() == pytest.approx(list(single))
    assert single.n == 3
