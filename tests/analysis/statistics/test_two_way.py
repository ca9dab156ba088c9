import numpy as np
import pytest
from scipy import stats

from analysis.statistics.two_way import paired_two_way, pseudo_values, two_way
from study.errors import UsageError

PARTS = 20


def test_pseudo_values_of_a_mean_are_the_means_of_the_parts() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((3, PARTS, 7))
    without = np.stack(
        [np.delete(table, part, axis=1).mean(axis=(1, 2)) for part in range(PARTS)], axis=1
    )
    found = pseudo_values(table.mean(axis=(1, 2)), without)
    np.testing.assert_allclose(found, table.mean(axis=2))


def test_where_examples_are_all_alike_the_interval_is_students_over_seeds() -> None:
    rows = np.array([0.01, 0.02, 0.04])
    found = two_way(np.repeat(rows[:, None], PARTS, axis=1))
    low, high = stats.t.interval(0.9, 2, rows.mean(), rows.std(ddof=1) / np.sqrt(3))
    assert found.interval(0.9) == pytest.approx((low, high))


def test_where_seeds_are_all_alike_the_interval_is_over_examples() -> None:
    columns = np.random.default_rng(0).normal(size=PARTS)
    found = two_way(np.repeat(columns[None], 4, axis=0))
    assert found.error == pytest.approx(columns.std(ddof=1) / np.sqrt(PARTS))


def test_the_variance_is_that_of_the_components() -> None:
    """Normal effects of rows, columns and cells: the variance of the mean is known."""
    rng = np.random.default_rng(1)
    of_row, of_column, of_cell = 1.0, 2.0, 0.7
    truth = of_row**2 / 5 + of_column**2 / PARTS + of_cell**2 / (5 * PARTS)
    found = [
        two_way(
            of_row * rng.normal(size=(5, 1))
            + of_column * rng.normal(size=(1, PARTS))
            + of_cell * rng.normal(size=(5, PARTS))
        ).error
        ** 2
        for _ in range(3000)
    ]
    assert np.mean(found) == pytest.approx(truth, rel=0.05)


def test_parts_without_which_a_metric_is_not_defined_are_left_out() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 3, PARTS))
    whole = paired_two_way(first[:, 1:], second[:, 1:])
    first[1, 0] = np.nan
    assert paired_two_way(first, second) == whole
    assert np.isnan(paired_two_way(np.full((3, PARTS), np.nan), second).mean)


def test_one_seed_says_nothing_of_others() -> None:
    assert np.isnan(two_way(np.zeros((1, PARTS))).at_most(0.9))


def test_networks_that_agree_everywhere_are_not_known_to_be_equal() -> None:
    assert two_way(np.zeros((3, PARTS)), resolution=1 / 100).at_most(0.9) > 0.01


def test_a_confidence_is_a_share() -> None:
    with pytest.raises(UsageError, match="confidence"):
        two_way(np.zeros((3, PARTS))).at_most(90)


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
@pytest.mark.parametrize("examples", [135, 375, 3000])
@pytest.mark.parametrize("hard", [0.01, 0.03, 0.05])
def test_bounds_hold_as_often_as_they_say(seeds: int, examples: int, hard: float) -> None:
    """Pruned networks miss hard examples half of the time; seeds differ in how often."""
    rng = np.random.default_rng([seeds, examples, round(1000 * hard)])
    held, studies = 0, 400
    for _ in range(studies):
        is_hard = rng.random(examples) < hard
        luck = np.clip(1 + rng.normal(0, 0.3, (seeds, 1)), 0, 2)
        lost = rng.random((seeds, examples)) < np.where(is_hard, 0.5, 0.005) * luck
        won = rng.random((seeds, examples)) < np.where(is_hard, 0.1, 0.005)
        drops = lost.astype(float) - won
        order = rng.permutation(examples)
        parts = [drops[:, order[place::PARTS]].mean(axis=1) for place in range(PARTS)]
        found = two_way(np.stack(parts, axis=1), 1 / examples)
        held += found.at_most(0.9) >= 0.4 * hard
    assert held / studies >= 0.87
