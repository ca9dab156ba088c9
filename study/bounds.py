"""Bounds of a figure in a record: held to where it is written, and where it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

ROUNDING = 1e-9
"""By how much a float may pass a bound through rounding alone."""


@dataclass(frozen=True)
class Within:
    """The least and the most that a figure may be; an annotation of a field.

    Parameters
    ----------
    least, most
        The bounds, both allowed.
    or_nan
        Whether it may be NaN instead.
    """

    least: float
    most: float
    or_nan: bool = False

    def refuse(self, value: float) -> float:
        """The value itself.

        Raises
        ------
        ValueError
            If it is outside.
        """
        if self.or_nan and math.isnan(value):
            return value
        slack = ROUNDING if isinstance(value, float) else 0
        if not self.least - slack <= value <= self.most + slack:
            raise ValueError(f"is not {self}")
        return value

    def __str__(self) -> str:
        return f"from {self.least:,.15g} to {self.most:,.15g}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.refuse, handler(source))
