import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.pruning.selection.ranking import apportion, keep_best, pruned_count

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
