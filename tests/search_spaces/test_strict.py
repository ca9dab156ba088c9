"""Numbers are numbers, and truth values are truth values."""

from typing import Any

import pytest
from pydantic import Field, ValidationError

from search_spaces import SearchSpace
from search_spaces.strict import Strict


class Example(Strict):
    count: int = 1
    share: float | None = None
    levels: tuple[float, ...] = ()
    on: bool = False
    weights: str | tuple[float, ...] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", True), ("count", "5"), ("share", False), ("share", "0.5"),
        ("levels", [0.1, True]),
        ("levels", ["0.1"]), ("on", 1), ("on", "yes"), ("share", float("nan")),
        ("share", float("inf")),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Example(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 5), ("count", 5.0), ("share", 1), ("share", None), ("levels", [0, 0.5]),
        ("on", True), ("weights", "balanced"), ("weights", [1, 2.0]), ("options", {"a": "1"}),
    ],
)  # fmt: skip
def test_a_value_of_its_kind_is_taken(field: str, value: object) -> None:
    taken = getattr(Example(**{field: value}), field)
    assert taken == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    "field", [{"width_multiple": True}, {"floor": "0.5"}, {"block": [True, 4]}, {"rounds": True}]
)
def test_a_space_is_strict_too(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="number"):
        SearchSpace(**field)
