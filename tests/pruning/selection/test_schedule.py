import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.errors import UsageError
from study.pruning.selection.schedule import SCHEDULES, sparsity_at

finals = st.floats(0.0, 0.999)
names = st.sampled_from(sorted(SCHEDULES))


@given(names, st.integers(1, 30), finals)
def test_the_last_round_reaches_the_target_exactly(name: str, rounds: int, final: float) -> None:
    assert sparsity_at(name, rounds, rounds, final) == final


@given(names, st.integers(1, 30), finals)
def test_sparsity_never_falls_from_round_to_round(name: str, rounds: int, final: float) -> None:
    levels = [sparsity_at(name, k, rounds, final) for k in range(rounds + 1)]
    assert levels[0] == 0.0
    assert levels == sorted(levels)


def test_geometric_removes_an_equal_share_of_what_remains() -> None:
    densities = [1 - sparsity_at("geometric", k, 3, 0.488) for k in range(4)]
    assert densities == pytest.approx([1.0, 0.8, 0.64, 0.512])


def test_constant_removes_an_equal_share_of_the_original() -> None:
    assert [sparsity_at("constant", k, 4, 0.8) for k in range(5)] == pytest.approx(
        [0.0, 0.2, 0.4, 0.6, 0.8]
    )


def test_cubic_is_the_formula_of_zhu_and_gupta() -> None:
    initial, final, rounds = 0.0, 0.9, 5
    for k in range(1, 5):
        expected = final + (initial - final) * (1 - k / rounds) ** 3
        assert sparsity_at("cubic", k, rounds, final) == pytest.approx(expected)


def test_cosine_is_half_way_in_the_middle() -> None:
    assert sparsity_at("cosine", 2, 4, 0.8) == pytest.approx(0.4)


def square_root(round_: int, rounds: int, final: float) -> float:
    return final * math.sqrt(round_ / rounds)


def overshooting(round_: int, rounds: int, final: float) -> float:
    return 1.5 * final


def test_a_users_own_schedule_is_found_by_import_string() -> None:
    assert sparsity_at(f"{__name__}:square_root", 1, 4, 0.8) == pytest.approx(0.4)


def test_a_schedule_that_overshoots_is_refused() -> None:
    with pytest.raises(UsageError, match="must stay between 0 and the final"):
        sparsity_at(f"{__name__}:overshooting", 1, 2, 0.5)


def test_a_misspelt_schedule_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'geometric'"):
        sparsity_at("geometrc", 1, 2, 0.5)
