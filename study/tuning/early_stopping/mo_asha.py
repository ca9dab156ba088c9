"""Stop a trial that is outranked at a rung: successive halving with several objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import moocore
import numpy as np

from study.objectives import Direction
from study.pruning.plan import PruningPlan


class MultiObjectiveHalving:
    """At rounds 1, ``factor``, ``factor**2``... the best 1 / ``factor`` of all trials go on.

    Trials are ranked by non-dominated sorting over all objectives, so that one with more weights
    left is not compared with one that has fewer on accuracy alone. A trial goes on if the trials
    of strictly better rank are fewer than its rung's share; the first of a rung always do.

    Parameters
    ----------
    objectives
        Columns of a result and their directions.
    factor
        Above 1.

    References
    ----------
    Schmucker, Donini, Zafar, Salinas and Archambeau 2021, "Multi-objective Asynchronous
    Successive Halving", arXiv:2106.12639.
    """

    def __init__(self, objectives: Mapping[str, Direction], factor: int = 3) -> None:
        self._objectives = dict(objectives)
        self._factor = factor
        self._rungs: dict[int, dict[str, list[float]]] = {}

    def round_finished(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Take note of a round; what shows that the trial is outranked, if it is."""
        round_ = result["round"]
        if not self._is_rung(round_):
            return None
        rung = self._rungs.setdefault(round_, {})
        rung[trial_id] = [
            -result[column] if way == "max" else result[column]
            for column, way in self._objectives.items()
        ]
        values = np.nan_to_num(np.array(list(rung.values())), nan=np.inf)
        ranks = dict(zip(rung, moocore.pareto_rank(values), strict=True))
        better = sum(bool(rank < ranks[trial_id]) for rank in ranks.values())
        allowed = max(1, len(rung) // self._factor)
        if round_ == plan.rounds or len(rung) < self._factor or better < allowed:
            return None
        return {"round": round_, "better": better, "trials": len(rung), "factor": self._factor}

    def trial_ended(self, trial_id: str) -> None:
        """Nothing is learned from how a trial ended."""

    def _is_rung(self, round_: int) -> bool:
        rung = 1
        while rung < round_:
            rung *= self._factor
        return rung == round_
