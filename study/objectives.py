"""What a study optimises, and the conditions that a network must meet to count."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from study.errors import UsageError, unknown_name

Direction = Literal["max", "min"]

OBJECTIVE_COLUMNS = {
    "accuracy": "val_accuracy",
    "loss": "val_loss",
    "density": "density",
    "macs": "macs",
    "parameters": "nonzero_parameters",
    "train_epochs": "train_epochs",
}
"""Objectives by name, and the field of a round record that each reads. None is on test data."""

QUALITIES = ("val_accuracy", "val_loss")
"""The columns that only training can tell; the others say what a network costs."""

_WRITTEN = re.compile(r"\s*([A-Za-z_]+)\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Constraint:
    """One column of a round's result, and the limit on its side.

    Examples
    --------
    >>> Constraint.parse("accuracy >= 0.94").violation({"val_accuracy": 0.9})
    0.04
    """

    column: str
    at_least: bool
    limit: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``"name <= number"`` or ``"name >= number"``.

        Parameters
        ----------
        text
            The name is an objective's (``accuracy``) or that of its column (``val_accuracy``).

        Raises
        ------
        UsageError
            If it is written in another way, or the name is unknown.
        """
        match = _WRITTEN.fullmatch(text)
        limit = _number(match[3]) if match else None
        if match is None or limit is None:
            raise UsageError(
                f"constraint {text!r}: write a name, <= or >=, and a number, such as "
                "'accuracy >= 0.94'"
            )
        name = match[1]
        if name not in OBJECTIVE_COLUMNS and name not in OBJECTIVE_COLUMNS.values():
            raise unknown_name("constraint", name, OBJECTIVE_COLUMNS)
        return cls(OBJECTIVE_COLUMNS.get(name, name), match[2] == ">=", limit)

    def violation(self, result: Mapping[str, Any]) -> float:
        """By how much a result fails it, in the column's unit; 0 or less where it is met.

        A figure that is not finite fails by infinity.
        """
        value = result[self.column]
        if not math.isfinite(value):
            return math.inf
        return float(self.limit - value if self.at_least else value - self.limit)

    def __str__(self) -> str:
        return f"{self.column} {'>=' if self.at_least else '<='} {self.limit:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
