"""How often intervals hold the truth: 93 to 97 of 100, at 3, 5, 10 and 20 seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.layers.sensitivity import first_crossing
from analysis.statistics.differences import paired_difference
from analysis.statistics.intervals import t_interval, wilson
from study.errors import UsageError

SEEDS = (3, 5, 10, 20)
REPEATS = 4000


def _of_means(draws: np.ndarray, truth: float) -> float:
    """Share of the rows whose interval holds the truth."""
    frame = pd.DataFrame({"run": np.repeat(np.arange(len(draws)), draws.shape[1])})
    table = analysis.t_intervals(frame.assign(value=draws.ravel()), "value", ["run"])
    return float(((table["low"] <= truth) & (truth <= table["high"])).mean())


@pytest.mark.parametrize("seeds", SEEDS)
def test_of_a_mean_over_seeds(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    # Accuracies of seeds on 2,000 examples: their own luck, and that of the examples.
    right = np.clip(rng.normal(0.96, 0.004, (REPEATS, seeds)), 0, 1)
    draws = rng.binomial(2000, right) / 2000
    assert 0.93 <= _of_means(draws, 0.96) <= 0.97
    low, high = t_interval(draws[0])[1:3]
    own = analysis.t_intervals(pd.DataFrame({"g": 0, "x": draws[0]}), "x", ["g"]).iloc[0]
    assert (low, high) == pytest.approx((own["low"], own["high"]))


@pytest.mark.parametrize("seeds", SEEDS)
def test_of_paired_differences(seeds: int) -> None:
    """Two ways that share the luck of the seed; the true difference is half a point."""
    rng = np.random.default_rng(100 + seeds)
    held = 0
    for _ in range(REPEATS // 2):
        luck = rng.normal(0, 0.02, seeds)
        a = 0.905 + luck + rng.normal(0, 0.004, seeds)
        b = 0.900 + luck + rng.normal(0, 0.004, seeds)
        facts = paired_difference(a - b, 0.95)
        held += facts["low"] <= 0.005 <= facts["high"]
    assert 0.93 <= held / (REPEATS // 2) <= 0.97


@pytest.mark.parametrize("seeds", SEEDS)
def test_of_thresholds_of_layers(seeds: int) -> None:
    """Curves that differ between seeds by a factor, with noise, at the levels of a scan."""
    rng = np.random.default_rng(7)
    levels = np.array([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
    shape = np.abs(np.log2(1 - levels)) ** 1.5
    drops = 0.006 * np.exp(rng.normal(0, 0.2, (4000, 1))) * shape
    drops += rng.normal(0, 0.001, drops.shape) * (levels > 0)
    pool = np.array([first_crossing(levels, curve, 0.01)[0] for curve in drops])
    draws = rng.choice(pool, (REPEATS, seeds))
    assert 0.93 <= _of_means(draws, float(pool.mean())) <= 0.97
    # The reason for not using it: a percentile bootstrap of so few seeds is too narrow.
    few = draws[:300]
    means = few[:, rng.integers(0, seeds, (400, seeds))].mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    bootstrap = float(((low <= pool.mean()) & (pool.mean() <= high)).mean())
    assert seeds > 5 or bootstrap < 0.9


@pytest.mark.parametrize("examples", [200, 1000, 3000])
@pytest.mark.parametrize("truth", [0.5, 0.9, 0.985])
def test_of_an_accuracy_of_so_many_examples(examples: int, truth: float) -> None:
    rng = np.random.default_rng(examples)
    right = rng.binomial(examples, truth, 20_000)
    ends = {count: wilson(count / examples, examples) for count in np.unique(right)}
    held = np.mean([ends[count][0] <= truth <= ends[count][1] for count in right])
    assert 0.93 <= held <= 0.97


def test_plus_and_minus_two_standard_errors_would_not() -> None:
    rng = np.random.default_rng(0)
    shares = rng.binomial(200, 0.985, 20_000) / 200
    half = 1.96 * np.sqrt(shares * (1 - shares) / 200)
    assert np.mean(np.abs(shares - 0.985) <= half) < 0.85


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 5), (97, 100), (100, 100), (2910, 3000)])
def test_wilsons_interval_is_that_of_scipy(right: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    assert wilson(right / n, n, confidence) == pytest.approx((expected.low, expected.high))


def test_what_is_no_share_of_examples_is_refused() -> None:
    with pytest.raises(UsageError, match=r"share: 1\.2 is not between"):
        wilson(1.2, 10)
    with pytest.raises(UsageError, match="share: nan"):
        wilson(math.nan, 10)
    with pytest.raises(UsageError, match="n: 0 examples"):
        wilson(0.5, 0)
    with pytest.raises(UsageError, match="confidence"):
        wilson(0.5, 10, 95)
