"""What fields of records may hold, and the base of every record."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from study.bounds import Within

SCHEMA_VERSION = 1
"""Written into every record. It grows when a field changes its meaning or goes away."""


def utc_now() -> str:
    """The present moment as an ISO 8601 string in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def may_be_nan(field: FieldInfo) -> bool:
    """Whether null stands for NaN in a field."""
    return any(getattr(each, "func", None) is _null_is_nan for each in field.metadata)


def _null_is_nan(value: Any) -> Any:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_null_is_nan)]
"""A float that may be NaN: JSON has no NaN, so it is written as null."""

Count = Annotated[int, Within(0, 2**53)]
"""How many there are; floats hold it exactly."""

RoundNumber = Annotated[int, Within(0, 2**31 - 1)]

Seed = Annotated[int, Within(0, 2**63 - 1)]

Share = Annotated[float, Within(0, 1)]

Amount = Annotated[float, Within(0, 1e18)]

Offset = Annotated[float, Within(-20, 20)]
"""Of the natural logarithm of scores."""

ShareOrNan = Annotated[float, BeforeValidator(_null_is_nan), Within(0, 1, or_nan=True)]

AmountOrNan = Annotated[float, BeforeValidator(_null_is_nan), Within(0, math.inf, or_nan=True)]


def _is_a_moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if not 1970 <= moment.year < 2200:
        raise ValueError(f"the year {moment.year} is none between 1970 and 2200")
    return text


Moment = Annotated[str, AfterValidator(_is_a_moment)]
"""ISO 8601, as :func:`utc_now` gives it."""


class Record(BaseModel):
    """Base of every record: immutable, closed, and versioned."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: Annotated[int, Within(0, 2**31 - 1)] = SCHEMA_VERSION

    @classmethod
    def knows(cls, name: str) -> bool:
        """Whether a field of this name is one of the record's."""
        return name in cls.model_fields

    def to_json(self) -> str:
        """One line of JSON, without a line break; NaN is null, floats survive bit for bit."""
        return self.model_dump_json()


class WithMetrics(Record):
    """A record with a column for each metric of the task, such as ``val_accuracy``."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    __pydantic_extra__: dict[str, Number]

    @classmethod
    def knows(cls, name: str) -> bool:
        return name in cls.model_fields or _METRIC_COLUMN.fullmatch(name) is not None

    @model_validator(mode="after")
    def _further_columns_are_of_metrics(self) -> Self:
        for name in self.__pydantic_extra__:
            if not self.knows(name):
                raise ValueError(f"{name}: unknown field")
        return self

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A metric's column."""


_METRIC_COLUMN = re.compile(r"(val|test|confirm)_\w+|\w+_drop")
