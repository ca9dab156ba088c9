"""The stages of a search as its searcher asks them: what is next, by all trials so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from study.pruning.plan import PruningPlan
from study.tuning.search.past import PastTrial
from study.tuning.search.stages.next_plan import Next, next_plan, stage_of
from study.tuning.search.stages.standing import Aim, Standing, Tried


class Deciding:
    """Keeps what the stages go by.

    Parameters
    ----------
    aim
        What the search is for.
    past
        Trials of an earlier run of the study. Those that go on are begun, and not over.
    """

    def __init__(self, aim: Aim, past: Sequence[PastTrial]) -> None:
        self._aim = aim
        self._tried: dict[str, Tried] = {}
        for each in past:
            self._keep(each.plan, each.results, not each.is_open)

    def next(self) -> Next | Literal["wait", "over"]:
        """The next plan; whether to wait for what is under way, or nothing more is to be tried."""
        return next_plan(self._aim, Standing(self._tried))

    def stage_of(self, plan: PruningPlan) -> str:
        """The stage that a plan is of, by what is known now."""
        return stage_of(self._aim, Standing(self._tried), plan)

    def begun(self, plan: PruningPlan) -> None:
        """A plan is being run."""
        self._keep(plan, (), is_over=False)

    def ended(self, plan: PruningPlan, results: Sequence[Mapping[str, Any]]) -> None:
        """Nothing more comes of a plan."""
        self._keep(plan, results, is_over=True)

    def _keep(self, plan: PruningPlan, results: Sequence[Mapping[str, Any]], is_over: bool) -> None:
        self._tried[plan.content_hash()] = Tried(plan, tuple(results), is_over)
