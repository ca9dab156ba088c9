import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.tuning.search.stages.equal_size import best_of, compared
from tests.tuning.search.stages.made_up import aim, changed, ended


@given(st.floats(-0.2, 0.2), st.integers(3, 20))
def test_a_descent_that_is_better_by_the_same_at_every_size_is_better_by_that(
    gain: float, rounds: int
) -> None:
    purpose = aim()
    other = ended(changed(purpose.textbook, {"rounds": rounds}), 0.0)
    found = compared(purpose, ended(purpose.textbook, gain), other)
    back = compared(purpose, other, ended(purpose.textbook, gain))
    assert found.sizes >= rounds
    assert found.mean == pytest.approx(gain, abs=1e-12)
    assert back.mean == pytest.approx(-gain, abs=1e-12)
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)


def test_descents_are_compared_only_at_sizes_that_both_have_come_to() -> None:
    purpose = aim()
    short = ended(purpose.textbook, 0.1, rounds=4)
    found = compared(purpose, ended(purpose.textbook), short)
    assert (found.sizes, found.mean) == (4, pytest.approx(-0.1))
    assert compared(purpose, ended(purpose.textbook), short, last=2).sizes == 2


def test_a_descent_without_networks_is_not_compared() -> None:
    purpose = aim()
    found = compared(purpose, ended(purpose.textbook), ended(purpose.textbook, rounds=0))
    assert math.isnan(found.mean)
    assert not found.is_gain


def test_of_equally_good_descents_the_first_is_the_best() -> None:
    purpose = aim()
    one, two = ended(purpose.textbook), ended(changed(purpose.textbook, {"retrain_epochs": 4.0}))
    assert best_of(purpose, [one, two]) is one
    better = ended(changed(purpose.textbook, {"retrain_epochs": 5.0}), 0.01)
    assert best_of(purpose, [one, two, better]) is better
