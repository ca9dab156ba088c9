from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.best_of import best_difference, expected_best
from analysis.statistics.differences import paired_difference
from study.errors import UsageError

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=7)


@given(VALUES, st.integers(1, 7))
def test_it_is_the_mean_of_the_best_over_all_choices(values: list[float], k: int) -> None:
    if k > len(values):
        with pytest.raises(UsageError, match=f"k: the best of {k} cannot be told"):
            expected_best(values, k)
        return
    choices = list(combinations(values, k))
    assert expected_best(values, k) == pytest.approx(np.mean([max(each) for each in choices]))
    assert expected_best(values, k, "min") == pytest.approx(np.mean([min(c) for c in choices]))


def test_it_is_what_drawing_trials_gives() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2, 1, 40)
    drawn = [rng.choice(values, 5, replace=False).max() for _ in range(20_000)]
    error = np.std(drawn) / math.sqrt(len(drawn))
    assert expected_best(values, 5) == pytest.approx(np.mean(drawn), abs=4 * error)
    assert expected_best(np.append(values, math.nan), 5) == expected_best(values, 5)


def test_a_small_group_is_told_no_worse_than_a_large_one_that_is_like_it() -> None:
    """Dodge et al.'s formula, with replacement, does tell it worse: the reason for this one."""

    def with_replacement(values: np.ndarray, k: int) -> float:
        ranks = np.arange(len(values) + 1) / len(values)
        return float(np.sort(values) @ np.diff(ranks**k))

    rng = np.random.default_rng(1)
    groups = [(rng.normal(size=40), rng.normal(size=5)) for _ in range(3000)]
    ours = [expected_best(large, 5) - expected_best(small, 5) for large, small in groups]
    theirs = [with_replacement(large, 5) - with_replacement(small, 5) for large, small in groups]
    error = np.std(ours) / math.sqrt(len(ours))
    assert abs(np.mean(ours)) < 3 * error
    assert np.mean(theirs) > 0.2


def test_many_trials_do_not_overflow() -> None:
    values = np.linspace(0, 1, 20_000)
    assert expected_best(values, 10_000) == pytest.approx(1.0, abs=1e-3)
    assert expected_best(values, 1) == pytest.approx(0.5)


@pytest.mark.parametrize("k", [0, -1, 1.5, 4])
def test_a_best_of_more_than_there_are_is_refused(k: float) -> None:
    with pytest.raises(UsageError, match="Allowed: whole numbers from 1 to 3"):
        expected_best([0.1, 0.2, 0.3], k)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="direction"):
        expected_best([0.1], 1, "most")  # type: ignore[arg-type]


@pytest.mark.parametrize(("many", "few"), [(40, 5), (6, 6)])
def test_like_groups_are_seldom_told_apart(many: int, few: int) -> None:
    rng = np.random.default_rng(many)
    studies, wrong = 80, 0
    for number in range(studies):
        a = [0.98 - rng.gamma(1.5, 0.02, many)]
        b = [0.98 - rng.gamma(1.5, 0.02, few)]
        found = best_difference(a, b, [few], "max", seed=number)
        wrong += not found.low <= 0 <= found.high
    assert wrong / studies <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)


def test_of_like_groups_on_six_seeds_few_are_called_different() -> None:
    """The best of 40 against the best of 5 would be, nearly always."""
    rng = np.random.default_rng(6)
    studies = 600
    wrong = naively = 0
    for _ in range(studies):
        large, small = rng.normal(size=(6, 40)), rng.normal(size=(6, 5))
        equal = [expected_best(a, 5) - b.max() for a, b in zip(large, small, strict=True)]
        wrong += paired_difference(np.array(equal), 0.95)["p_value"] < 0.05
        naive = paired_difference(large.max(axis=1) - small.max(axis=1), 0.95)
        naively += naive["p_value"] < 0.05
    assert wrong / studies <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)
    assert naively / studies > 0.5


def test_groups_that_differ_are_told_apart_and_by_how_much() -> None:
    rng = np.random.default_rng(4)
    luck = [0.0, 0.5, -0.5]  # of the seeds; both groups share it
    a = [rng.normal(1 + each, 0.1, 12) for each in luck]
    b = [rng.normal(each, 0.1, 8) for each in luck]
    found = best_difference(a, b, [8, 8, 8], "max")
    expected = np.mean(
        [expected_best(own, 8) - other.max() for own, other in zip(a, b, strict=True)]
    )
    assert found.difference == pytest.approx(expected)
    assert 0 < found.low < found.difference < found.high
    other_way = best_difference(b, a, [8, 8, 8], "max")
    assert other_way.difference == pytest.approx(-expected)
    assert other_way.high < 0
