from typing import Any

from study.tuning.early_stopping.mo_asha import MultiObjectiveHalving
from tests.tuning.rounds import halving_plan, result

OBJECTIVES: dict[str, Any] = {"val_accuracy": "max", "density": "min"}
PLAN = halving_plan(9)


def told(rule: MultiObjectiveHalving, trial: str, accuracy: float, density: float) -> bool:
    return rule.round_finished(trial, PLAN, result(1, accuracy, density)) is not None


def test_of_comparable_trials_only_the_best_share_goes_on() -> None:
    rule = MultiObjectiveHalving(OBJECTIVES)
    stopped = [told(rule, str(n), accuracy=1 - n / 10, density=0.5) for n in range(9)]
    assert stopped == [False, False, True, True, True, True, True, True, True]


def test_trials_of_different_density_do_not_outrank_each_other() -> None:
    rule = MultiObjectiveHalving(OBJECTIVES)
    assert not any(told(rule, str(n), 1 - n / 10, 0.9 - n / 10) for n in range(9))


def test_rounds_between_the_rungs_decide_nothing() -> None:
    rule = MultiObjectiveHalving(OBJECTIVES)
    for round_ in (0, 2, 4, 5, 8):
        for number in range(9):
            worse = result(round_, 1 - number / 10, 0.5)
            assert rule.round_finished(str(number), PLAN, worse) is None
    third = [rule.round_finished(str(n), PLAN, result(3, 1 - n / 10, 0.5)) for n in range(9)]
    assert sum(verdict is not None for verdict in third) == 7


def test_a_trial_at_its_last_round_is_not_stopped() -> None:
    rule, plan = MultiObjectiveHalving(OBJECTIVES), halving_plan(1)
    for number in range(9):
        assert rule.round_finished(str(number), plan, result(1, 1 - number / 10, 0.5)) is None


def test_a_trial_whose_figures_are_not_finite_ranks_last() -> None:
    rule = MultiObjectiveHalving(OBJECTIVES)
    for number in range(3):
        told(rule, str(number), 0.9, 0.5)
    assert told(rule, "nan", float("nan"), 0.5)


def test_the_verdict_says_how_many_were_better() -> None:
    rule = MultiObjectiveHalving(OBJECTIVES)
    for number in range(5):
        told(rule, str(number), 0.9, 0.5)
    verdict = rule.round_finished("new", PLAN, result(1, 0.5, 0.5))
    assert verdict == {"round": 1, "better": 5, "trials": 6, "factor": 3}
