"""What is better: columns with their directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from study.errors import UsageError, unknown_name
from study.objectives import column_of
from study.records import MetricRecord

Objectives = Mapping[str, Literal["max", "min"]]

DEFAULT_OBJECTIVES: Objectives = {"val_accuracy": "max", "density": "min"}
"""Of functions that are given points alone; those that are given results take the study's own."""


def objectives_of(config: Mapping[str, Any], quality: MetricRecord) -> Objectives:
    """The objectives of a study file, as columns of a round; unset ones are quality and density."""
    given = config.get("objectives") or {}
    columns = {column_of(name): way for name, way in given.items()}
    return columns or {quality.column: quality.direction, "density": "min"}


def numbers_of(points: pd.DataFrame, field: str, column: str) -> np.ndarray:
    """A column as float64, NaN where it is missing.

    Raises
    ------
    UsageError
        If there is no such column, or it holds no numbers; ``field`` is what was named by it.
    """
    if column not in points.columns:
        raise unknown_name(field, str(column), points.columns)
    try:
        if pd.api.types.is_datetime64_any_dtype(points[column]):
            raise TypeError("a moment is no number")
        numbers: np.ndarray = points[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        kinds = pd.api.types.is_numeric_dtype
        allowed = ", ".join(name for name in points.columns if kinds(points[name]))
        message = f"{field}: {column!r} holds no numbers. Allowed: {allowed}."
        raise UsageError(message) from error
    return numbers


def check_objectives(objectives: Objectives) -> None:
    """Refuse what is no mapping of columns to directions.

    Raises
    ------
    UsageError
        Or a direction is neither ``"max"`` nor ``"min"``.
    """
    if not isinstance(objectives, Mapping) or not objectives:
        allowed = 'at least one column and its direction, such as {"val_accuracy": "max"}'
        raise UsageError(f"objectives: {objectives!r} is not a mapping of {allowed}")
    for name, way in objectives.items():
        if way not in ("max", "min"):
            raise unknown_name(f"direction of {name}", str(way), ("max", "min"))


def costs(points: pd.DataFrame, objectives: Objectives) -> np.ndarray:
    """Objectives as float64 columns of which less is better, shape (points, objectives).

    Raises
    ------
    UsageError
        If a column does not exist or holds no numbers, a direction is neither ``"max"`` nor
        ``"min"``, or there is no objective.
    """
    check_objectives(objectives)
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    columns = [numbers_of(points, "objective", name) for name in objectives]
    values: np.ndarray = np.column_stack(columns) * signs
    return values
