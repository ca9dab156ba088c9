"""Stop a whole descent that lies behind the best of the race at equal size, beyond its noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.pruning.plan import PruningPlan
from study.tuning.search.stages.equal_size import compared
from study.tuning.search.stages.standing import Aim, Tried

LAST = 5
"""Sizes at which it must be behind, the smallest so far."""

FROM = 0.75
"""Share of its rounds that a descent has before it is compared. Ways to divide a cut cross late: on
a small CNN one was behind by two standard errors down to a fifth of the multiply-adds, and at a
twentieth eight points ahead."""

ERRORS = 2.0
"""Standard errors of the difference, by its spread over these sizes."""


class Outraced:
    """Compares descents that are as long as the textbook run, once most of their rounds are over.

    Shorter ones are scouts and proxies: they are cheap, and what they are compared with is not the
    best descent.

    Parameters
    ----------
    aim
        Says what the race is for.
    """

    def __init__(self, aim: Aim) -> None:
        self._aim = aim
        self._raced: dict[str, Tried] = {}

    def round_finished(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Take note of a round; by how much the trial is behind, if it is to stop."""
        known = self._raced.get(trial_id)
        results = () if known is None else known.results
        if all(each["round"] != result["round"] for each in results):
            self._raced[trial_id] = own = Tried(plan, (*results, result), is_over=False)
        else:
            assert known is not None
            own = known
        round_ = int(result["round"])
        if plan == self._aim.textbook or not self._is_raced(plan):
            return None
        if not FROM * plan.rounds <= round_ < plan.rounds:
            return None
        for name, other in self._raced.items():
            if name == trial_id or not self._is_raced(other.plan):
                continue
            gap = compared(self._aim, own, other, LAST)
            if gap.sizes == LAST and gap.mean + ERRORS * gap.standard_error < 0:
                return {
                    "round": round_,
                    "behind": name,
                    "by": -gap.mean,
                    "standard_error": gap.standard_error,
                    "sizes": gap.sizes,
                }
        return None

    def _is_raced(self, plan: PruningPlan) -> bool:
        own = self._aim.textbook
        is_shorter = (plan.retrain_epochs or 0.0) < (own.retrain_epochs or 0.0)
        return plan.rounds >= own.rounds and not is_shorter

    def trial_ended(self, trial_id: str) -> None:
        """Nothing more is learned from how a trial ended."""
