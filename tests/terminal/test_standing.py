"""How far a study is, told from its events alone."""

from typing import Any

import pytest

from study.configuration.loading import load_config
from study.terminal.standing import Standing, duration
from tests.conftest import SMALL


def standing(**study: Any) -> Standing:
    config = load_config({**SMALL, "study": {"name": "small", "num_samples": 4, **study}})
    return Standing(config, started_s=100.0)


def result(round_: int, density: float = 0.5, accuracy: float = 0.9) -> dict[str, Any]:
    return {"round": round_, "rounds_planned": 4, "density": density, "val_accuracy": accuracy}


def searching(**study: Any) -> Standing:
    it = standing(**study)
    it.note("search_started", "", {"workers": 2}, 110.0)
    return it


def test_before_the_search_it_says_what_goes_on_and_promises_nothing() -> None:
    it = standing()
    it.note("training_dense_run", "", {}, 101.0)
    assert it.lines(105.0) == ["small: training the dense network · 5 s"]
    assert it.seconds_left(105.0) is None


def test_rounds_that_are_finished_count_towards_the_time_left() -> None:
    it = searching()
    it.note("trial_started", "0000", {}, 111.0)
    assert it.seconds_left(112.0) is None
    it.note("round_finished", "0000", result(0), 120.0)
    it.note("round_finished", "0000", result(2), 130.0)
    # Half a trial took the 10 s since the first round; three and a half are left.
    assert it.seconds_left(130.0) == pytest.approx(70.0)
    it.note("trial_completed", "0000", result(4), 140.0)
    assert it.seconds_left(140.0) == pytest.approx(60.0)


def test_a_time_budget_bounds_the_time_left() -> None:
    it = searching(time_budget_s=30.0)
    assert it.seconds_left(112.0) == pytest.approx(28.0)
    it.note("trial_started", "0000", {}, 111.0)
    it.note("round_finished", "0000", result(0), 120.0)
    it.note("round_finished", "0000", result(1), 130.0)
    assert it.seconds_left(130.0) == pytest.approx(10.0)


def test_workers_at_work_are_told_of_those_there_are() -> None:
    it = searching()
    it.note("trial_started", "0000", {}, 111.0)
    assert "1 of 2 workers busy" in it.lines(112.0)[1]


def test_the_best_network_is_the_sparsest_within_a_point_of_dense() -> None:
    it = searching()
    it.note("trial_started", "0000", {}, 111.0)
    for round_, density, accuracy in ((0, 1.0, 0.95), (1, 0.4, 0.945), (2, 0.2, 0.93)):
        it.note("round_finished", "0000", result(round_, density, accuracy), 112.0)
    found = it.lines(113.0)[-1]
    assert found == "2 networks, 2 on the front · within 1 point of dense: density 0.4 at 94.5%"


def test_a_trial_that_goes_on_after_its_end_is_one_that_was_extended() -> None:
    it = searching()
    for event in ("trial_started", "trial_completed", "trial_started", "trial_completed"):
        it.note(event, "0000", result(1), 112.0)
    assert "1/4 trials · 1 extended" in it.lines(113.0)[1]


def test_after_the_search_no_time_is_left_to_tell() -> None:
    it = searching()
    it.note("trial_started", "0000", {}, 111.0)
    it.note("round_finished", "0000", result(1), 112.0)
    it.note("study_finished", "", {}, 120.0)
    assert it.seconds_left(121.0) is None
    assert it.lines(121.0)[0] == "small: search over · 21 s"


def test_durations_are_given_in_the_two_units_that_matter() -> None:
    assert [duration(s) for s in (0.4, 59.4, 60, 3599, 3600, 90061)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 00 min",
        "25 h 01 min",
    ]
