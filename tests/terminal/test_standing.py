"""How far a study is, told from its events alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.configuration.loading import load_config
from study.records import LOSS, MetricRecord
from study.terminal.standing import Standing, duration, joined
from tests.conftest import SMALL

ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")
LOSS_FIRST = {"loss": "min", "macs": "min"}


def standing(**study: Any) -> Standing:
    config = load_config({**SMALL, "study": {"name": "small", "num_samples": 4, **study}})
    config = config.model_copy(update={"objectives": {"accuracy": "max", "density": "min"}})
    return Standing(config, ACCURACY, started_s=100.0)


def told(tables: dict[str, Any], quality: MetricRecord, results: list[dict[str, Any]]) -> Standing:
    """Where a study with these tables stands after the rounds of a trial."""
    it = Standing(load_config({**SMALL, **tables}), quality, started_s=100.0)
    it.note("search_started", "", {"workers": 2}, 110.0)
    it.note("trial_started", "0000", {}, 111.0)
    for number, found in enumerate(results):
        it.note("round_finished", "0000", {"round": number, "rounds_planned": 4, **found}, 112.0)
    return it


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


def test_a_budget_of_examples_bounds_the_time_left_and_is_told_of() -> None:
    it = standing(num_samples=1000, train_samples_budget=20_000)
    it.note("sensitivity_scanned", "", {"train_samples": 1_000}, 105.0)
    it.note("search_started", "", {"workers": 2}, 110.0)
    for trial_id in ("0000", "0001"):  # which share their dense run
        it.note("trial_started", trial_id, {}, 111.0)
        it.note("round_finished", trial_id, {**result(0), "train_samples": 5_000}, 120.0)
    assert "30 % of the budget of examples" in it.lines(120.0)[1]
    it.note("round_finished", "0000", {**result(1), "train_samples": 7_000}, 130.0)
    # 2,000 examples took the 10 s since the first round; 12,000 are left.
    assert it.seconds_left(130.0) == pytest.approx(60.0)
    assert "40 % of the budget of examples" in it.lines(130.0)[1]
    assert not it.samples_spent
    it.note("samples_budget_spent", "", {"train_samples": 20_500, "budget": 20_000}, 200.0)
    assert it.samples_spent


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
    assert found == (
        "2 networks, 2 on the front · unconfirmed, within 1 point of dense: density 0.4 at 94.5%"
    )


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


def test_the_best_network_is_the_smallest_by_the_objectives_of_the_study() -> None:
    results = [
        {"density": 1.0, "macs": 9e6, "val_loss": 0.2, "val_accuracy": 0.9},
        {"density": 0.3, "macs": 4e6, "val_loss": 0.2015, "val_accuracy": 0.5},
        {"density": 0.2, "macs": 5e6, "val_loss": 0.2001, "val_accuracy": 0.9},
        {"density": 0.1, "macs": 3e6, "val_loss": 0.2100, "val_accuracy": 0.9},
    ]
    it = told({"objectives": LOSS_FIRST}, LOSS, results)
    expected = "unconfirmed, within 1 % of dense: 4,000,000 multiply-adds at loss 0.2015"
    assert it.lines(113.0)[-1] == f"3 networks, 3 on the front · {expected}"


def test_networks_that_fail_a_constraint_are_on_no_front() -> None:
    tables = {
        "objectives": {"accuracy": "max", "density": "min"},
        "search": {"constraints": ["accuracy >= 0.9"]},
    }
    results = [
        {"density": 1.0, "val_accuracy": 0.905},
        {"density": 0.5, "val_accuracy": 0.9},
        {"density": 0.2, "val_accuracy": 0.899},
    ]
    found = told(tables, ACCURACY, results).lines(113.0)[-1]
    assert found == (
        "2 networks, 1 on the front · unconfirmed, within 1 point of dense: density 0.5 at 90.0%"
    )


def test_networks_that_diverged_are_on_no_front_and_are_not_the_best() -> None:
    results = [
        {"density": 1.0, "val_accuracy": 0.905, "val_loss": 0.3},
        {"density": 0.5, "val_accuracy": 0.95, "val_loss": float("nan")},
    ]
    tables = {"objectives": {"accuracy": "max", "density": "min"}}
    assert told(tables, ACCURACY, results).lines(113.0)[-1] == "1 networks, 0 on the front"


def test_a_dense_network_that_diverged_is_told_of() -> None:
    it = told({"objectives": LOSS_FIRST}, LOSS, [{"macs": 9e6, "val_loss": float("inf")}])
    assert it.lines(113.0)[-1] == "the dense network diverged"


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=40))
def test_the_front_holds_what_nothing_beats_in_any_number_of_objectives(
    networks: list[tuple[int, int, int]],
) -> None:
    ways = {"a": "max", "b": "min", "c": "min"}
    front: list[Any] = []
    for values in networks:
        front = joined(front, dict(zip(ways, values, strict=True)), ways)
    expected = {
        (a, b, c)
        for a, b, c in networks
        if not any(x >= a and y <= b and z <= c and (x, y, z) != (a, b, c) for x, y, z in networks)
    }
    assert len(front) == len(expected)
    assert {tuple(each.values()) for each in front} == expected
