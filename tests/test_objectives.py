import math

import pytest

from study.errors import UsageError
from study.objectives import Constraint, checked_objectives, quality_of
from study.records import LOSS, MetricRecord

METRICS = (
    MetricRecord(name="perplexity", direction="min", unit="amount"),
    MetricRecord(name="accuracy", direction="max", unit="share"),
    MetricRecord(name="r2", direction="max", unit="score"),
    LOSS,
)


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [
        ("accuracy >= 0.94", 0.9, 0.04),
        ("val_accuracy>=0.94", 0.94, 0.0),
        (" density <= 0.1 ", 0.3, 0.2),
        ("density <= 1e-1", 0.05, -0.05),
        ("loss <= 2", math.nan, math.inf),
    ],
)
def test_a_constraint_says_by_how_much_it_is_failed(
    text: str, value: float, violation: float
) -> None:
    constraint = Constraint.parse(text)
    assert constraint.violation({constraint.column: value}) == pytest.approx(violation)


def test_a_constraint_written_out_reads_as_itself() -> None:
    constraint = Constraint.parse("accuracy >= 0.94")
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize("text", ["accuracy > 0.9", "accuracy", ">= 3", "accuracy >= high",
                                  "accuracy >= nan", "accuracy == 1", ""])  # fmt: skip
def test_a_constraint_in_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 'accuracy"):
        Constraint.parse(text)


def test_a_misspelt_metric_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'accuracy'"):
        Constraint.parse("acuracy >= 0.9").check(METRICS)
    with pytest.raises(UsageError, match="Did you mean 'perplexity'"):
        checked_objectives({"perplexty": "min"}, METRICS)


@pytest.mark.parametrize("text", ["accuracy >= 1.5", "accuracy >= 94", "density <= -1", "r2 >= 2"])
def test_a_limit_that_no_network_can_reach_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="outside what"):
        Constraint.parse(text).check(METRICS)


@pytest.mark.parametrize("text", ["accuracy >= 0.94", "r2 >= -3", "perplexity <= 300", "macs <= 9"])
def test_a_limit_that_can_be_reached_is_taken(text: str) -> None:
    Constraint.parse(text).check(METRICS)


def test_unset_objectives_are_the_quality_of_the_task_and_density() -> None:
    assert checked_objectives({}, METRICS) == {"perplexity": "min", "density": "min"}


def test_an_objective_that_looks_for_the_worst_is_refused() -> None:
    with pytest.raises(UsageError, match="worst"):
        checked_objectives({"perplexity": "max"}, METRICS)


def test_the_quality_of_a_study_is_the_first_metric_among_its_objectives() -> None:
    assert quality_of(METRICS, ["density", "loss", "accuracy"]) == LOSS
    assert quality_of(METRICS, ["density"]).name == "perplexity"
