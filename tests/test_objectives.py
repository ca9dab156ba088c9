import math

import pytest

from study.errors import UsageError
from study.objectives import Constraint


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


def test_a_misspelt_objective_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'accuracy'"):
        Constraint.parse("acuracy >= 0.9")
