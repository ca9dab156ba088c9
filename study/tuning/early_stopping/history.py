"""The rounds that a study has seen, and the best quality among those that cost no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.objectives import Constraint, is_size


@dataclass(frozen=True)
class Yardstick:
    """How rounds are compared: one quality, at equal cost or less.

    Parameters
    ----------
    quality
        The column that only training can tell.
    maximise
        Whether more of it is better.
    costs
        The other objectives' columns; less is better.
    constraints
        What a network must meet to count.
    """

    quality: str
    maximise: bool
    costs: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()

    def worth(self, result: Mapping[str, Any]) -> float:
        """The quality of a round, more is better; minus infinity if it is not finite."""
        value = float(result[self.quality])
        if not math.isfinite(value):
            return -math.inf
        return value if self.maximise else -value

    def price(self, result: Mapping[str, Any]) -> list[float]:
        """The costs of a round."""
        return [float(result[column]) for column in self.costs]

    def counts(self, result: Mapping[str, Any]) -> bool:
        """Whether the network may be on the front: finite figures that meet the constraints."""
        finite = all(math.isfinite(value) for value in (self.worth(result), *self.price(result)))
        return finite and all(c.violation(result) <= 0 for c in self.constraints)


class History:
    """Results of all trials, by trial, in the order of their rounds.

    Parameters
    ----------
    yardstick
        How they are compared.
    """

    def __init__(self, yardstick: Yardstick) -> None:
        self.yardstick = yardstick
        self._results: dict[str, list[dict[str, Any]]] = {}
        self._numbers: dict[str, int] = {}
        self._table = np.empty((64, 2 + len(yardstick.costs)))  # owner, worth, costs
        self._filled = 0

    def add(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep a round; one that is run again after a crash is the same, and kept once."""
        results = self._results.setdefault(trial_id, [])
        number = self._numbers.setdefault(trial_id, len(self._numbers))
        if any(seen["round"] == result["round"] for seen in results):
            return
        results.append(dict(result))
        if self.yardstick.counts(result):
            if self._filled == len(self._table):
                self._table = np.concatenate([self._table, np.empty_like(self._table)])
            row = (number, self.yardstick.worth(result), *self.yardstick.price(result))
            self._table[self._filled] = row
            self._filled += 1

    def of(self, trial_id: str) -> list[dict[str, Any]]:
        """Results of a trial, in the order of its rounds."""
        return self._results.get(trial_id, [])

    def best(self, price: Sequence[float], without: str) -> float:
        """The best worth among the rounds of other trials that cost no more than this.

        Parameters
        ----------
        price
            A cost for each of the yardstick's columns.
        without
            The trial whose rounds are left out.

        Returns
        -------
        float
            Minus infinity where there is none.
        """
        table = self._table[: self._filled]
        comparable = np.all(table[:, 2:] <= np.asarray(price, dtype=float), axis=1)
        if without in self._numbers:
            comparable &= table[:, 0] != self._numbers[without]
        return float(table[comparable, 1].max(initial=-math.inf))

    def shortfall(self, trial_id: str, result: Mapping[str, Any]) -> float:
        """How far a round is behind the others' best at equal cost; negative where it leads."""
        behind = self.best(self.yardstick.price(result), without=trial_id)
        return behind - self.yardstick.worth(result)


def make_yardstick(config: StudyConfig, asked_by: str) -> Yardstick:
    """How a study's rounds are compared at equal cost.

    Raises
    ------
    UsageError
        If the objectives are not one quality and costs to be kept low.
    """
    columns = config.objective_columns
    qualities = [column for column in columns if not is_size(column)]
    costs = tuple(column for column in columns if is_size(column))
    if len(qualities) != 1 or any(columns[column] == "max" for column in costs):
        raise UsageError(
            f"{asked_by} compares one metric (such as accuracy, or loss) at equal cost (the rest, "
            f"with min), and the objectives are {config.objectives}; switch it off, or change them."
        )
    quality = qualities[0]
    return Yardstick(quality, columns[quality] == "max", costs, config.search.parsed_constraints)
