"""Which plan next: the stages of a search, one after the other where they wait for each other.

Each stage says, by the trials so far alone, which plans it wants. So a search that goes on decides
as it would have, and workers that are free take up what a later stage can begin without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from study.pruning.plan import PruningPlan
from study.tuning.search.stages.finals import finals
from study.tuning.search.stages.offsets import is_of_offsets, offsets
from study.tuning.search.stages.portfolio import portfolio
from study.tuning.search.stages.proxies import families
from study.tuning.search.stages.recipes import challengers, scouts
from study.tuning.search.stages.standing import Aim, Standing, Wanted


def textbook(aim: Aim, standing: Standing) -> Wanted:
    """The run that all others are measured against."""
    return Wanted([aim.textbook])


STAGES: dict[str, Callable[[Aim, Standing], Wanted]] = {
    "textbook": textbook,
    "portfolio": portfolio,
    "scouts": scouts,
    "families": families,
    "challengers": challengers,
    "offsets": offsets,
    "finals": finals,
}
"""In the order in which free workers take them up."""


@dataclass(frozen=True)
class Next:
    """A plan to run, and the stage that wants it."""

    stage: str
    plan: PruningPlan


def next_plan(aim: Aim, standing: Standing) -> Next | Literal["wait", "over"]:
    """The next plan; whether to wait for what is under way, or nothing more is to be tried."""
    is_settled = True
    for name, stage in STAGES.items():
        wanted = stage(aim, standing)
        for plan in wanted.plans:
            if standing.of(plan) is None:
                return Next(name, plan)
        is_settled &= wanted.is_settled
    is_busy = any(not each.is_over for each in standing.tried.values())
    return "over" if is_settled or not is_busy else "wait"


def stage_of(aim: Aim, standing: Standing, plan: PruningPlan) -> str:
    """The stage that wants, or wanted, a plan; empty where none did."""
    if is_of_offsets(aim, standing, plan):
        return "offsets"
    others = (name for name in STAGES if name != "offsets")
    return next((name for name in others if plan in STAGES[name](aim, standing).plans), "")
