"""The winner's recipe with the best offsets that proxies found, as a whole descent."""

from __future__ import annotations

from study.tuning.search.stages.offsets import are_over, best_offsets
from study.tuning.search.stages.portfolio import OF_FAMILIES
from study.tuning.search.stages.recipes import winner
from study.tuning.search.stages.standing import Aim, Standing, Wanted


def finals(aim: Aim, standing: Standing) -> Wanted:
    """None where no offsets gained, or these were whole descents by that recipe."""
    best = winner(aim, standing)
    if best is None or not are_over(aim, standing):
        return Wanted(is_settled=False)
    layered = best_offsets(aim, standing)
    if layered is None:
        return Wanted()
    fields = (*OF_FAMILIES, "score_offsets")
    plan = best.plan.model_copy(update={name: getattr(layered.plan, name) for name in fields})
    return Wanted([] if plan == layered.plan else [plan])
