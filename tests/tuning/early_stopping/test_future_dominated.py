import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Layer
from study.pruning import PruningPlan
from study.tuning.early_stopping.future_dominated import FutureDominated, conformal_bound
from study.tuning.early_stopping.history import Yardstick
from tests.tuning.rounds import halving_plan, run_of

LAYERS = (Layer("a", 4096),)
AT_DENSITY = Yardstick("val_accuracy", True, ("density",))
LEADER = [0.95, 0.94, 0.93, 0.92, 0.91]
BEHIND = [0.95, 0.80, 0.80, 0.80, 0.79]
PLAN = halving_plan(4)


def rule(**options: Any) -> FutureDominated:
    return FutureDominated(AT_DENSITY, LAYERS, **{"audit_share": 0.0, **options})


def run(
    own: FutureDominated, trial: str, accuracies: list[float], plan: PruningPlan = PLAN
) -> dict[str, Any] | None:
    """Run a trial until it is stopped; why, if it was."""
    for result in run_of(accuracies):
        verdict = own.round_finished(trial, plan, result)
        if verdict is not None and not verdict.get("audited"):
            return verdict
    own.trial_ended(trial)
    return None


def taught(own: FutureDominated, behind: int = 9) -> FutureDominated:
    run(own, "leader", LEADER)
    for number in range(behind):
        assert run(own, f"behind-{number}", BEHIND) is None
    return own


def test_a_trial_far_behind_is_stopped_once_enough_is_known_of_gains() -> None:
    verdict = run(taught(rule()), "new", [0.95, 0.5, 0.5, 0.5, 0.5])
    assert verdict is not None
    assert verdict["round"] == 1
    assert verdict["shortfall"] == pytest.approx(0.44)
    assert verdict["observed"] == 9
    assert verdict["confidence"] == 0.9


def test_a_stop_records_what_it_rests_on() -> None:
    verdict = run(taught(rule()), "new", [0.95, 0.5, 0.5, 0.5, 0.5])
    assert verdict is not None
    assert verdict["gain_bound"] < verdict["shortfall"]
    assert [c["round"] for c in verdict["coming"]] == [2, 3, 4]
    for coming, density in zip(verdict["coming"], [0.25, 0.125, 0.0625], strict=True):
        assert coming.keys() == {"round", "density"}
        assert coming["density"] == pytest.approx(density, abs=1e-6)


def test_with_too_few_ended_trials_there_is_no_bound_and_no_stop() -> None:
    assert run(taught(rule(), behind=8), "new", [0.95, 0.1, 0.1, 0.1, 0.1]) is None


def test_a_higher_confidence_needs_more_trials() -> None:
    assert run(taught(rule(confidence=0.95)), "new", [0.95, 0.1, 0.1, 0.1, 0.1]) is None
    assert run(taught(rule(confidence=0.95), 19), "new", [0.95, 0.1, 0.1, 0.1, 0.1]) is not None


def test_a_trial_that_may_still_catch_up_runs_on() -> None:
    own = rule()
    run(own, "leader", LEADER)
    for number in range(9):
        run(own, f"late-{number}", [0.95, 0.5, 0.6, 0.7, 0.90])
    assert run(own, "new", [0.95, 0.55, 0.65, 0.75, 0.8]) is None


def test_a_trial_goes_on_towards_densities_where_nobody_was() -> None:
    own = taught(rule())
    assert run(own, "new", [0.95, 0.5, 0.5, 0.5, 0.5, 0.5], halving_plan(5)) is None


def test_a_leader_is_never_stopped() -> None:
    assert run(taught(rule()), "new", [0.95, 0.945, 0.93, 0.93, 0.92]) is None


def test_a_plan_that_does_not_say_what_it_removes_is_never_stopped() -> None:
    plan = PruningPlan(threshold=0.1, rounds=4)
    assert run(taught(rule()), "new", [0.95, 0.1, 0.1, 0.1, 0.1], plan) is None


def test_an_audited_trial_runs_on_and_tells_whether_the_stop_was_right() -> None:
    own = taught(rule(audit_share=1.0))
    for trial, accuracies, reached in (
        ("right", [0.95, 0.5, 0.5, 0.5, 0.5], False),
        ("wrong", [0.95, 0.5, 0.5, 0.5, 0.99], True),
    ):
        verdicts = [own.round_finished(trial, PLAN, result) for result in run_of(accuracies)]
        assert sum(verdict is not None for verdict in verdicts) == 1
        assert next(v for v in verdicts if v)["audited"]
        assert own.trial_ended(trial) is reached


def test_a_trial_that_was_not_to_be_stopped_has_no_audit() -> None:
    own = rule()
    for result in run_of(LEADER):
        own.round_finished("leader", PLAN, result)
    assert own.trial_ended("leader") is None


def test_the_share_of_audited_trials_is_the_one_asked_for() -> None:
    own = rule(audit_share=0.2)
    sampled = [own._is_sampled(f"{number:04d}") for number in range(5000)]
    assert 0.18 < np.mean(sampled) < 0.22


@given(st.lists(st.floats(-1, 1), max_size=60), st.floats(0.5, 0.99))
def test_without_weights_the_bound_is_the_order_statistic_of_split_conformal(
    gains: list[float], confidence: float
) -> None:
    place = math.ceil((len(gains) + 1) * confidence - 1e-9)
    expected = sorted(gains)[place - 1] if place <= len(gains) else math.inf
    assert conformal_bound([(gain, 1.0) for gain in gains], confidence) == expected


def test_the_bound_holds_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(4000):
        *seen, coming = generator.gumbel(size=30)
        held += coming <= conformal_bound([(float(g), 1.0) for g in seen], 0.9)
    assert held / 4000 == pytest.approx(28 / 31, abs=0.02)  # ceil(30 * 0.9) = 27 of 30


def test_a_sampled_gain_stands_for_those_that_were_not_seen() -> None:
    plain = [(0.1, 1.0)] * 19
    assert conformal_bound([*plain, (0.9, 1.0)], 0.9) == 0.1
    assert conformal_bound([*plain, (0.9, 10.0)], 0.9) == 0.9
