from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import analysis
from analysis.statistics.differences import paired_difference


@pytest.mark.parametrize("n", [3, 4, 8, 20])
def test_the_effect_size_is_unbiased(n: int) -> None:
    rng = np.random.default_rng(n)
    effects = [paired_difference(rng.normal(0.5, 1, n), 0.95)["effect_size"] for _ in range(4000)]
    standard_error = np.std(effects) / math.sqrt(len(effects))
    # Hedges' short formula is within a few hundredths of the exact one.
    degrees = n - 1
    exact = math.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2))
    exact /= math.sqrt(degrees / 2)
    bias = 0.5 * ((1 - 3 / (4 * degrees - 1)) / exact - 1)
    assert np.mean(effects) == pytest.approx(0.5 + bias, abs=3.5 * standard_error)


def test_two_seeds_have_no_effect_size() -> None:
    assert math.isnan(paired_difference(np.array([0.1, 0.2]), 0.95)["effect_size"])


@pytest.mark.parametrize("seeds", [2, 6, 9])
def test_equal_differences_have_no_effect_size_and_no_p_value(seeds: int) -> None:
    # Equal but for rounding, as accuracies of few examples are.
    luck = np.linspace(0.1, 0.7, seeds)
    facts = paired_difference((luck + 0.01) - luck, 0.95)
    assert facts["difference"] == pytest.approx(0.01)
    assert math.isnan(facts["p_value"])
    assert math.isnan(facts["effect_size"])


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12))
def test_holm_steps_down_as_the_procedure_says(values: list[float]) -> None:
    adjusted = analysis.holm(np.array(values))
    tested = [value for value in values if not math.isnan(value)]
    for alpha in (0.01, 0.05, 0.2):
        # The procedure: reject from the smallest on, until one is too large.
        rejected = 0
        for step, value in enumerate(sorted(tested)):
            if value * (len(tested) - step) > alpha:
                break
            rejected += 1
        assert int((adjusted <= alpha).sum()) == rejected
    assert np.isnan(adjusted).tolist() == [math.isnan(value) for value in values]


def test_under_no_difference_few_of_many_comparisons_are_called_real() -> None:
    rng = np.random.default_rng(5)
    families = 400
    wrong = 0
    for _ in range(families):
        p_values = np.array([stats.ttest_1samp(rng.normal(size=6), 0).pvalue for _ in range(6)])
        wrong += bool((analysis.holm(p_values) <= 0.05).any())
    assert wrong / families < 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
