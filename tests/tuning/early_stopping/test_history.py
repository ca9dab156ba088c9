import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from study.objectives import Constraint
from study.tuning.early_stopping.history import History, Yardstick
from tests.tuning.rounds import result

AT_DENSITY = Yardstick("val_accuracy", True, ("density",))
LEVELS = st.sampled_from([0.1, 0.2, 0.5, 0.9, 1.0])
ROUNDS = st.lists(st.tuples(st.sampled_from("abc"), LEVELS, LEVELS), max_size=200)


@given(ROUNDS, LEVELS, st.sampled_from("abcd"))
def test_the_best_at_a_price_is_that_of_the_others_that_cost_no_more(
    rounds: list[tuple[str, float, float]], price: float, own: str
) -> None:
    history = History(AT_DENSITY)
    for number, (trial, accuracy, density) in enumerate(rounds):
        history.add(trial, result(number, accuracy, density))
    expected = [a for trial, a, density in rounds if trial != own and density <= price]
    assert history.best([price], without=own) == max(expected, default=-math.inf)


def test_a_loss_is_better_when_it_is_lower() -> None:
    history = History(Yardstick("val_loss", False, ("density",)))
    history.add("a", result(1, 0.9, 0.5, val_loss=0.2))
    assert history.shortfall("b", result(1, 0.9, 0.5, val_loss=0.5)) == 0.3


def test_with_no_costs_all_rounds_are_compared() -> None:
    history = History(Yardstick("val_accuracy", True, ()))
    history.add("a", result(1, 0.9, 0.5))
    assert history.best([], without="b") == 0.9


def test_a_round_that_is_run_again_counts_once() -> None:
    history = History(AT_DENSITY)
    for _ in range(2):
        history.add("a", result(1, 0.9, 0.5))
    assert len(history.of("a")) == 1


def test_what_fails_a_constraint_or_is_not_finite_is_nobodys_best() -> None:
    strict = Yardstick("val_accuracy", True, ("density",), (Constraint.parse("macs <= 100"),))
    history = History(strict)
    history.add("a", result(1, 0.9, 0.5, macs=200))
    history.add("a", result(2, math.nan, 0.2, macs=50))
    history.add("b", result(1, 0.5, 0.1, macs=50))
    assert history.best([1.0], without="c") == 0.5


def test_two_costs_must_both_be_no_higher() -> None:
    both = Yardstick("val_accuracy", True, ("density", "train_epochs"))
    history = History(both)
    rows: list[dict[str, Any]] = [
        result(1, 0.9, 0.5, train_epochs=10),
        result(1, 0.8, 0.4, train_epochs=30),
    ]
    for name, row in zip("ab", rows, strict=True):
        history.add(name, row)
    assert history.best([0.5, 10], without="c") == 0.9
    assert history.best([0.4, 20], without="c") == -math.inf
