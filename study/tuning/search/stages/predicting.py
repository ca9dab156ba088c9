"""Whether proxies predict: the family that they put first, in full, beside the textbook's own."""

from __future__ import annotations

from study.pruning.plan import PruningPlan
from study.tuning.search.stages.equal_size import compared
from study.tuning.search.stages.proxies import best_family
from study.tuning.search.stages.recipes import winner
from study.tuning.search.stages.standing import Aim, Standing

FAMILY = ("allocation", "budget", "cost", "cost_exponent")
"""Fields of a plan that proxies choose."""


def in_full(aim: Aim, standing: Standing) -> PruningPlan | None:
    """The winner's recipe with the best family; None while either is not known."""
    best, family = winner(aim, standing), best_family(aim, standing)
    if best is None or family is None:
        return None
    return best.plan.model_copy(update={name: getattr(family.plan, name) for name in FAMILY})


def proxies_hold(aim: Aim, standing: Standing) -> bool | None:
    """Whether that descent is not worse, beyond noise, than the winner; None: not known yet."""
    plan, best = in_full(aim, standing), winner(aim, standing)
    if plan is None or best is None:
        return None
    if plan == best.plan:
        return True
    tried = standing.of(plan)
    if tried is None or not tried.is_over:
        return None
    return not compared(aim, best, tried).is_gain
