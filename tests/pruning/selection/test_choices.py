"""One choice of each list, against all combinations."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.pruning.selection.choices import CELLS, Choice, dearest, least_loss

WHOLE = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(-3, 30)), max_size=4),
    min_size=1,
    max_size=4,
)
PARTS = st.lists(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 30)), max_size=4), min_size=1, max_size=4
)


def with_nothing(lists: list[list[tuple[float, float]]]) -> list[list[Choice]]:
    return [[Choice(0.0, 0.0), *(Choice(*each) for each in choices)] for choices in lists]


def best_of_all(lists: list[list[Choice]], to_save: float) -> float:
    """The least loss of all combinations of choices that save at least nothing."""
    losses = [
        sum(choice.loss for choice in combination)
        for combination in itertools.product(*lists)
        if all(choice.saved >= 0 for choice in combination)
        and sum(choice.saved for choice in combination) >= to_save
    ]
    return min(losses, default=math.inf)


@given(lists=WHOLE, to_save=st.integers(1, 80))
def test_of_whole_numbers_no_other_choice_loses_less(
    lists: list[list[tuple[float, float]]], to_save: int
) -> None:
    every = with_nothing(lists)
    chosen = least_loss(every, to_save)
    best = best_of_all(every, to_save)
    if chosen is None:
        assert math.isinf(best)
        return
    taken = [choices[place] for choices, place in zip(every, chosen, strict=True)]
    assert sum(choice.saved for choice in taken) >= to_save
    assert sum(choice.loss for choice in taken) == best


@given(lists=PARTS, to_save=st.floats(0.1, 80))
def test_of_other_numbers_enough_is_saved_and_hardly_more_lost(
    lists: list[list[tuple[float, float]]], to_save: float
) -> None:
    every = with_nothing(lists)
    chosen = least_loss(every, to_save)
    a_little_more = to_save * (1 + (len(every) + 1) / CELLS)
    if chosen is None:
        assert math.isinf(best_of_all(every, a_little_more))
        return
    taken = [choices[place] for choices, place in zip(every, chosen, strict=True)]
    assert sum(choice.saved for choice in taken) >= to_save * (1 - 1e-6)
    assert sum(choice.loss for choice in taken) <= best_of_all(every, a_little_more) + 1e-9


def test_the_dearest_save_the_most() -> None:
    assert dearest([[Choice(0, 0), Choice(1, 5), Choice(2, 4)], [Choice(0, 0)]]) == [1, 0]


def test_a_negative_loss_is_no_loss() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        least_loss([[Choice(0, 0), Choice(-1, 5)]], 3)
