"""Whole descents with what the stages before found: the winner's recipe and the best proxies'."""

from __future__ import annotations

from search_spaces.structures import removal_of
from study.tuning.search.stages.offsets import are_over, best_offsets
from study.tuning.search.stages.predicting import in_full
from study.tuning.search.stages.proxies import has_proxies
from study.tuning.search.stages.recipes import winner
from study.tuning.search.stages.standing import Aim, Standing, Wanted

PORTFOLIO = (
    {"allocation": "global_raw", "saliency": "taylor", "cost": "macs", "cost_exponent": 1.0},
    {"allocation": "isomorphic", "saliency": "l2"},
    {"allocation": "uniform", "saliency": "l2"},
)


def portfolio(aim: Aim, standing: Standing) -> Wanted:
    """Of whole channels and other units: the methods of which none is always behind.

    Short proxies mislead there, so each has a whole run, beside the textbook's own.
    """
    if removal_of(aim.textbook.structure).entries is not None:
        return Wanted()
    return Wanted([aim.textbook.model_copy(update=fields) for fields in PORTFOLIO])


def finals(aim: Aim, standing: Standing) -> Wanted:
    """The winner's recipe with the best family, and with the best offsets of its scores."""
    if not has_proxies(aim):
        return Wanted()
    best, first = winner(aim, standing), in_full(aim, standing)
    if best is None or first is None:
        return Wanted(is_settled=False)
    plans = [] if first == best.plan else [first]
    if not are_over(aim, standing):
        return Wanted(plans, is_settled=False)
    if (layered := best_offsets(aim, standing)) is not None:
        plans.append(first.model_copy(update={"score_offsets": layered.plan.score_offsets}))
    return Wanted(plans)
