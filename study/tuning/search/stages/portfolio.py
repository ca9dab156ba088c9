"""Which method, in full: whole descents by the textbook's recipe that differ in what they rank by.

Of single weights it is the family that proxies put first, which also tells whether they predict. Of
whole channels and other units, where short proxies mislead, it is a portfolio of methods of which
none is always behind.
"""

from __future__ import annotations

from search_spaces.structures import removal_of
from study.pruning.plan import PruningPlan
from study.tuning.search.stages.equal_size import best_of, compared
from study.tuning.search.stages.proxies import best_family, has_proxies, have_failed
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

OF_UNITS = (
    {"allocation": "global_raw", "saliency": "taylor", "cost": "macs", "cost_exponent": 1.0},
    {"allocation": "isomorphic", "saliency": "l2"},
    {"allocation": "uniform", "saliency": "l2"},
)

OF_FAMILIES = ("allocation", "budget", "cost", "cost_exponent")
"""Fields of a plan that proxies choose."""


def portfolio(aim: Aim, standing: Standing) -> Wanted:
    """The textbook run with other methods in place of its own."""
    if not has_proxies(aim):
        are_units = removal_of(aim.textbook.structure).entries is None
        others = OF_UNITS if are_units else ()
        return Wanted([aim.textbook.model_copy(update=fields) for fields in others])
    plan = _best_in_full(aim, standing)
    if plan is None:
        return Wanted(is_settled=False)
    return Wanted([] if plan == aim.textbook else [plan])


def proxies_hold(aim: Aim, standing: Standing) -> bool | None:
    """Whether the best family in full came to its end, and not worse than the textbook run.

    None: not known yet.
    """
    if have_failed(aim, standing):
        return False
    plan = _best_in_full(aim, standing)
    if plan is None or plan == aim.textbook:
        return None if plan is None else True
    ended = standing.ended([aim.textbook, plan])
    if ended is None:
        return None
    is_whole = len(ended) == 2 and ended[1].is_whole
    return is_whole and not compared(aim, ended[0], ended[1]).is_gain


def base(aim: Aim, standing: Standing) -> Tried | None:
    """The textbook run, or the best of the portfolio where that gains; None: not known yet."""
    wanted = portfolio(aim, standing)
    ended = standing.ended([aim.textbook, *wanted.plans]) if wanted.is_settled else None
    if not ended:
        return None
    ended = [each for each in ended if each.is_whole] or ended
    best = best_of(aim, ended)
    return best if compared(aim, best, ended[0]).is_gain else ended[0]


def _best_in_full(aim: Aim, standing: Standing) -> PruningPlan | None:
    family, own = best_family(aim, standing), aim.textbook
    if have_failed(aim, standing):
        return own
    if family is None:
        return None
    if (family.plan.allocation, family.plan.cost_exponent) == (own.allocation, own.cost_exponent):
        return own
    return own.model_copy(update={name: getattr(family.plan, name) for name in OF_FAMILIES})
