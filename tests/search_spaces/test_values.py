from __future__ import annotations

from typing import Annotated, Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import TypeAdapter, ValidationError

from search_spaces.values import (
    Integers,
    Names,
    Numbers,
    Range,
    draw,
    names,
    nearest,
    numbers,
    options,
)

rounds: TypeAdapter[Any] = TypeAdapter(Annotated[Integers, numbers(least=1, whole=True)])
epochs: TypeAdapter[Any] = TypeAdapter(Annotated[Numbers, numbers(step=0.5)])
density: TypeAdapter[Any] = TypeAdapter(Annotated[Numbers, numbers(above=0, most=1, log=True)])
retrain: TypeAdapter[Any] = TypeAdapter(Annotated[Names, names("finetune", "reinit")])


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        (rounds, 3, 3),
        (rounds, 3.0, 3),
        (rounds, [3], 3),
        (rounds, [3, 3], 3),
        (rounds, [1, 8], Range(1, 8)),
        (rounds, [1, 2, 8], (1, 2, 8)),
        (rounds, {"low": 1, "high": 7, "step": 2}, Range(1, 7, 2)),
        (epochs, [0, 4], Range(0.0, 4.0, 0.5)),
        (epochs, {"low": 1, "high": 4, "log": True}, Range(1.0, 4.0, None, True)),
        (density, [0.01, 1], Range(0.01, 1.0, None, True)),
        (density, {"low": 0.1, "high": 0.5, "step": 0.1}, Range(0.1, 0.5, 0.1, False)),
        (density, {"low": 0.1, "high": 0.5, "log": False}, Range(0.1, 0.5)),
        (retrain, "reinit", "reinit"),
        (retrain, ["reinit"], "reinit"),
        (retrain, ["reinit", "finetune"], ("reinit", "finetune")),
    ],
)
def test_one_value_is_fixed_two_numbers_are_a_range_and_more_are_a_choice(
    kind: TypeAdapter[Any], written: object, meant: object
) -> None:
    read = kind.validate_python(written)
    assert read == meant
    assert type(read) is type(meant)
    assert kind.validate_python(kind.dump_python(read, mode="json")) == read


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        (rounds, 0, "0 must be at least 1"),
        (rounds, 1.5, "whole number"),
        (rounds, True, "not a number"),
        (rounds, [5, 1], "low end 5 is above"),
        (rounds, [], "nothing to choose from"),
        (rounds, [1, 2, 2], "names a choice twice"),
        (rounds, {"low": 1, "hihg": 2}, "Did you mean 'high'"),
        (rounds, {"low": 1}, "needs low and high"),
        (rounds, {"low": 1, "high": 3, "step": 0.5}, "step is 0.5"),
        (epochs, [0, 1.7], "end at 1.5"),
        (epochs, {"low": 0, "high": 4, "log": True}, "starts above 0"),
        (epochs, {"low": 0, "high": 4, "log": 1}, "allowed are true and false"),
        (epochs, {"low": 0, "high": 4, "step": 0}, "above 0"),
        (epochs, float("nan"), "must be"),
        (density, 0.0, "above 0 and at most 1"),
        (retrain, "finetun", "Did you mean 'finetune'"),
        (retrain, 3, "neither a name nor a list"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_one_message(
    kind: TypeAdapter[Any], written: object, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as refusal:
        kind.validate_python(written)
    assert refusal.value.error_count() == 1


def test_options_are_all_values_of_a_grid_and_the_ends_of_a_range_without_one() -> None:
    assert options(Range(1, 4)) == (1, 2, 3, 4)
    assert options(Range(0.0, 1.0, 0.5)) == (0.0, 0.5, 1.0)
    assert options(Range(0.1, 1.0)) == (0.1, 1.0)
    assert options((1, 2, 4)) == (1, 2, 4)
    assert options("lamp") == ("lamp",)


@pytest.mark.parametrize(
    ("distribution", "wanted", "found"),
    [
        (IntDistribution(1, 8), 9, 8),
        (FloatDistribution(0.0, 2.0, step=0.5), 0.8, 1.0),
        (FloatDistribution(0.1, 0.5), None, 0.1),
        (FloatDistribution(0.1, 0.5), 0.3, 0.3),
        (CategoricalDistribution(("a", "b")), "b", "b"),
        (CategoricalDistribution(("a", "b")), "c", "a"),
        (CategoricalDistribution((1.0, 2.0, 5.0)), 4.0, 5.0),
    ],
)
def test_the_nearest_value_is_one_that_the_distribution_has(
    distribution: Any, wanted: object, found: object
) -> None:
    assert nearest(distribution, wanted) == found
    assert distribution._contains(distribution.to_internal_repr(found))


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0.1, 0.3, 0.1), (0.1, 0.9, 0.1), (0.05, 0.4, 0.05), (0.0, 2.1, 0.3), (1.1, 3.3, 0.55)],
)
def test_numbers_of_a_range_with_steps_are_those_that_a_person_writes(
    low: float, high: float, step: float
) -> None:
    given = Range(low, high, step)
    wanted = [round(low + index * step, 6) for index in range(round((high - low) / step) + 1)]
    assert list(options(given)) == wanted
    for index, each in enumerate(wanted):
        added_up = low + index * step
        assert draw(lambda *_, value=added_up: value, "x", given) == each
        assert nearest(given.distribution, added_up) == each
        assert given.distribution._contains(each)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"low": 0, "high": 4, "step": 1e-300}, "more than 10,000 numbers"),
        (float("inf"), "finite"),
        ([0, float("nan")], "finite"),
    ],
)
def test_a_range_that_no_memory_holds_and_what_is_not_finite_are_refused(
    written: object, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        epochs.validate_python(written)
