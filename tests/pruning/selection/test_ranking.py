import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.pruning.selection.ranking import apportion, keep_best, keep_evenly, pruned_count

scores = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]), min_size=1, max_size=40)


@given(scores, st.data())
def test_the_best_are_kept_and_of_equals_the_first(
    values: list[float], data: st.DataObject
) -> None:
    alive = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    count = data.draw(st.integers(0, sum(alive)))
    ranked = sorted(
        (index for index, is_alive in enumerate(alive) if is_alive),
        key=lambda index: (-values[index], index),
    )
    mask = keep_best(torch.tensor(values), torch.tensor(alive), count)
    assert sorted(ranked[:count]) == mask.nonzero().flatten().tolist()


def test_constant_and_zero_tensors_have_exact_counts() -> None:
    for scores_ in (torch.zeros(7, 3), torch.ones(7, 3)):
        kept = keep_best(scores_, torch.ones(7, 3, dtype=torch.bool), 5)
        assert kept.flatten().nonzero().flatten().tolist() == [0, 1, 2, 3, 4]


def test_more_than_is_alive_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="cannot keep 3 of 2"):
        keep_best(torch.ones(4), torch.tensor([True, True, False, False]), 3)


def test_a_half_rounds_to_even_as_pythons_round_does() -> None:
    assert [pruned_count(0.5, total) for total in (1, 3, 5)] == [0, 2, 2]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 100), st.integers(0, 20), st.integers(0, 50)),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_a_budget_is_divided_to_the_last_weight_within_bounds(
    rows: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    shares = [share for share, _, _ in rows]
    lower = [low for _, low, _ in rows]
    upper = [low + more for _, low, more in rows]
    total = data.draw(st.integers(sum(lower), sum(upper)))
    counts = apportion(shares, lower, upper, total)
    assert sum(counts) == total
    assert all(low <= n <= high for low, n, high in zip(lower, counts, upper, strict=True))
    # Proportional up to whole numbers: nobody who could give has more for his share than one who
    # could take.
    for share, n, low in zip(shares, counts, lower, strict=True):
        for other, m, high in zip(shares, counts, upper, strict=True):
            if n > low and m < high:
                assert (n - 1) / share <= (m + 1) / other + 1e-6


def test_a_budget_outside_the_bounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="not between"):
        apportion([1.0, 1.0], [2, 2], [5, 5], 3)


def test_rows_cannot_keep_more_than_they_have() -> None:
    with pytest.raises(ValueError, match="cannot keep 5 of 4"):
        keep_evenly(torch.rand(2, 2), torch.ones(2, 2, dtype=torch.bool), 5)


@given(st.integers(0, 99), st.integers(0, 24))
def test_rows_are_levelled_as_far_as_they_have_entries(seed: int, count: int) -> None:
    """Against one entry after another: the row with fewest, of these the one with the best next."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(6, 4, generator=generator)
    alive = torch.rand(6, 4, generator=generator) < 0.6
    count = min(count, int(alive.sum()))
    left = [
        sorted((float(s) for s, a in zip(row, live, strict=True) if a), reverse=True)
        for row, live in zip(scores, alive, strict=True)
    ]
    expected: list[list[float]] = [[] for _ in range(6)]
    for _ in range(count):
        row = min((r for r in range(6) if left[r]), key=lambda r: (len(expected[r]), -left[r][0]))
        expected[row].append(left[row].pop(0))
    kept = keep_evenly(scores, alive, count)
    found = [sorted(scores[r][kept[r]].tolist(), reverse=True) for r in range(6)]
    assert found == expected
