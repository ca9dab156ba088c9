"""What is better: columns with their directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from study.errors import UsageError, unknown_name

Objectives = Mapping[str, Literal["max", "min"]]

DEFAULT_OBJECTIVES: Objectives = {"val_accuracy": "max", "density": "min"}

COLUMN_OF = {
    "accuracy": "val_accuracy",
    "loss": "val_loss",
    "parameters": "nonzero_parameters",
}
"""Short names of objectives in a study file, where they differ from the column."""


def objectives_of(config: Mapping[str, Any]) -> Objectives:
    """The objectives of a study file, as columns of a round."""
    given = config.get("objectives") or {}
    columns = {COLUMN_OF.get(name, name): way for name, way in given.items()}
    return columns or DEFAULT_OBJECTIVES


def direction_of(column: str) -> Literal["max", "min"]:
    """Whether more of a column is better, or less."""
    more = ("val_accuracy", "test_accuracy", "sparsity", "compression_ratio", "theoretical_speedup")
    return "max" if column in more else "min"


def costs(points: pd.DataFrame, objectives: Objectives) -> np.ndarray:
    """Objectives as float64 columns of which less is better, shape (points, objectives).

    Raises
    ------
    UsageError
        If a column does not exist, a direction is neither ``"max"`` nor ``"min"``, or there is
        no objective.
    """
    if not objectives:
        raise UsageError("objectives: at least one is needed")
    for name, way in objectives.items():
        if name not in points.columns:
            raise unknown_name("objective", name, points.columns)
        if way not in ("max", "min"):
            raise unknown_name(f"direction of {name}", str(way), ("max", "min"))
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    columns = [points[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in objectives]
    values: np.ndarray = np.column_stack(columns) * signs
    return values
