import numpy as np
import pytest
from scipy import stats

from analysis.statistics.two_way import Jackknifed, paired_two_way, pseudo_values, two_way
from study.errors import UsageError

PARTS = 20


def test_pseudo_values_of_a_mean_are_the_means_of_the_parts() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((3, PARTS, 7))
    without = np.stack(
        [np.delete(table, part, axis=1).mean(axis=(1, 2)) for part in range(PARTS)], axis=1
    )
    found = pseudo_values(Jackknifed(table.mean(axis=(1, 2)), without))
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


def test_pseudo_values_of_parts_of_any_size_are_their_means() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1, 7, 30, 4])
    of_part = np.repeat(np.arange(4), sizes)
    table = rng.random((3, sizes.sum()))
    figures = _jackknifed(table, of_part)
    means = [table[:, of_part == part].mean(axis=1) for part in range(4)]
    np.testing.assert_allclose(pseudo_values(figures), np.stack(means, axis=1))


def _jackknifed(table: np.ndarray, of_part: np.ndarray) -> Jackknifed:
    """Of a mean over examples, shape (seeds, examples)."""
    parts = np.unique(of_part)
    without = np.stack([table[:, of_part != part].mean(axis=1) for part in parts], axis=1)
    sizes = np.unique(of_part, return_counts=True)[1]
    return Jackknifed(table.mean(axis=1), without, sizes)


def test_a_group_of_most_examples_turns_no_sign() -> None:
    """500 of 560 examples get worse, and pruning is told to make things worse."""
    of_part = np.repeat(np.arange(5), [400, 100, 20, 20, 20])
    drop = np.where(of_part < 2, 0.3, -0.3)[None].repeat(3, axis=0)
    dense = np.zeros_like(drop)
    found = paired_two_way(_jackknifed(drop, of_part), _jackknifed(dense, of_part))
    assert found.mean == pytest.approx(drop.mean())
    assert drop.mean() > 0


def test_the_error_is_the_jackknifes_over_parts_of_any_size() -> None:
    rng = np.random.default_rng(3)
    of_part = np.repeat(np.arange(6), [3, 50, 9, 12, 8, 20])
    table = rng.normal(size=(1, 102)).repeat(4, axis=0)
    figures = _jackknifed(table, of_part)
    found = paired_two_way(figures, _jackknifed(np.zeros_like(table), of_part))
    moved = figures.without[0] - figures.whole[0]
    assert found.error == pytest.approx(np.sqrt(5 / 6 * (moved**2).sum()))


def test_the_estimate_is_the_plain_difference_of_a_metric_that_is_no_mean() -> None:
    """Jackknife means are corrected for bias; figures on one line must add up."""
    rng = np.random.default_rng(0)
    whole = rng.random((2, 5))
    sides = [Jackknifed(each, each[:, None] - 0.01 * rng.random((5, PARTS))) for each in whole]
    found = paired_two_way(*sides)
    assert found.mean == pytest.approx(whole[0].mean() - whole[1].mean(), abs=1e-12)


def test_parts_without_which_a_metric_is_not_defined_are_left_out_of_the_error() -> None:
    rng = np.random.default_rng(0)
    whole, without = rng.random((2, 3)), rng.normal(size=(2, 3, PARTS))
    first, second = (Jackknifed(*each) for each in zip(whole, without, strict=True))
    first.without[1, 0] = np.nan
    found = paired_two_way(first, second)
    table = (pseudo_values(first) - pseudo_values(second))[:, 1:]
    assert found == two_way(table, whole=whole[0] - whole[1])
    nothing = Jackknifed(whole[0], np.full((3, PARTS), np.nan))
    assert np.isnan(paired_two_way(nothing, second).at_most(0.9))
    diverged = Jackknifed(np.full(3, np.nan), without[0])
    assert np.isnan(paired_two_way(diverged, second).mean)


def test_one_part_says_nothing_of_other_examples() -> None:
    found = paired_two_way(
        *(Jackknifed(np.full(3, each), np.full((3, 1), np.nan)) for each in (1, 0))
    )
    assert found.mean == 1
    assert np.isnan(found.at_most(0.9))


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


def _parts_of_groups(sizes: list[int]) -> list[list[int]]:
    """Groups dealt to 20 parts, the largest first to where the fewest examples are."""
    parts: list[list[int]] = [[] for _ in range(min(PARTS, len(sizes)))]
    for size in sorted(sizes, reverse=True):
        min(parts, key=sum).append(size)
    return parts


def _pareto(groups: int) -> list[int]:
    return [int(each) for each in np.random.default_rng(1).pareto(1, groups) * 10 + 1]


GROUPED = {
    **{f"{groups} alike": [10] * groups for groups in (2, 3, 4, 10, 20)},
    "one of 100 among 19 of 10": [100] + [10] * 19,
    "one of 200 among 19 of 10": [200] + [10] * 19,
    "one of 400 among 8 of 20": [400] + [20] * 8,
    "20 of Pareto sizes": _pareto(20),
    "60 of Pareto sizes": _pareto(60),
}


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("of_seed", [0.2, 1.0])
@pytest.mark.parametrize("sizes", GROUPED.values(), ids=GROUPED)
def test_bounds_hold_whatever_the_sizes_of_groups(
    sizes: list[int], of_seed: float, seeds: int
) -> None:
    """Groups differ in how much pruning harms them; the true mean drop is 0."""
    rng = np.random.default_rng([len(sizes), max(sizes), seeds])
    dealt = _parts_of_groups(sizes)
    examples = np.array([sum(part) for part in dealt], dtype=float)
    groups = examples**2 / np.array([sum(size**2 for size in part) for part in dealt])
    held, studies = 0, 1000
    for _ in range(studies):
        drops = of_seed * rng.normal(size=(seeds, 1))
        drops = drops + (
            rng.normal(size=len(dealt)) + 0.3 * rng.normal(size=(seeds, len(dealt)))
        ) / (np.sqrt(groups))
        whole = drops @ examples / examples.sum()
        found = two_way(drops, whole=whole, examples=examples, groups=groups)
        held += found.at_most(0.9) >= 0
    assert held / studies >= 0.87  # 0.9 less three standard errors of 1,000 studies
