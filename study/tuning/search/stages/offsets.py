"""Layer by layer: proxies over offsets of the best family's scores, drawn by a Gaussian process.

They are drawn while proxies predict: where the best family, run in full, turned out worse than the
allocation of the textbook run, no layer is moved.

The prior has its mass at no offset: what is drawn is a quantile of a normal distribution around 0,
and the first point is its middle, the family's proxy itself. The process is told of all proxies
that have ended; what it draws next follows from these and the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna

from search_spaces.drawing import asked_of
from search_spaces.layers import Grouping, group_layers
from search_spaces.offsets import QUANTILES, draw_offsets, read_offsets
from search_spaces.structures import COST_AWARE
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.search.samplers import make_sampler
from study.tuning.search.stages.portfolio import proxies_hold
from study.tuning.search.stages.proxies import best_family, has_proxies, loss
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

MOST = 30
"""Proxies over offsets; on a small CNN 30 to 40 found what there was (.2 points)."""

IDLE = 12
"""Without a lower loss among so many in a row there are no more."""


def offsets(aim: Aim, standing: Standing) -> Wanted:
    """The next proxy; none where offsets have no meaning, or no more is to be gained."""
    family = best_family(aim, standing)
    if family is None or not is_to_go_on(aim, standing):
        return Wanted(is_settled=are_over(aim, standing))
    if proxies_hold(aim, standing) is None:
        return Wanted(is_settled=False)
    begun = moved(standing, family.plan)
    ended = [each for each in begun if each.is_over]
    return Wanted([_drawn(aim, family, ended, len(begun))], is_settled=False)


def is_to_go_on(aim: Aim, standing: Standing) -> bool:
    """Whether another proxy is worth it."""
    family = best_family(aim, standing) if _have_meaning(aim) else None
    if family is None or family.plan.allocation not in COST_AWARE:
        return False
    if proxies_hold(aim, standing) is False:
        return False
    begun = moved(standing, family.plan)
    losses = [loss(each) for each in (family, *begun) if each.is_over]
    best = min(range(len(losses)), key=losses.__getitem__)
    return len(begun) < MOST and len(losses) - 1 - best < IDLE


def are_over(aim: Aim, standing: Standing) -> bool:
    """Whether all proxies over offsets that there will be have ended."""
    if not _have_meaning(aim):
        return True
    family = best_family(aim, standing)
    return (
        family is not None
        and not is_to_go_on(aim, standing)
        and all(each.is_over for each in moved(standing, family.plan))
    )


def _have_meaning(aim: Aim) -> bool:
    groups = group_layers(aim.layers, aim.space.per_layer.group_by)
    return aim.space.form == "offsets" and has_proxies(aim) and len(groups) > 1


def best_offsets(aim: Aim, standing: Standing) -> Tried | None:
    """The best proxy with offsets, if it is better than the family's own without."""
    family = best_family(aim, standing)
    if family is None:
        return None
    ended = [each for each in moved(standing, family.plan) if each.is_over]
    best = min((family, *ended), key=loss)
    return None if best is family else best


def moved(standing: Standing, family: PruningPlan) -> list[Tried]:
    """Proxies of this family that have offsets, in the order in which they were begun."""
    return [
        each
        for each in standing.tried.values()
        if each.plan.score_offsets and each.plan.model_copy(update={"score_offsets": {}}) == family
    ]


def _drawn(aim: Aim, family: Tried, ended: Sequence[Tried], number: int) -> PruningPlan:
    """What the process draws after these."""
    study = optuna.create_study(
        sampler=make_sampler("gp", derive_seed(aim.sampler_seed, "offsets", number) % 2**32)
    )
    for each in (family, *ended):
        if (value := loss(each)) < math.inf:
            study.add_trial(_known(aim, each.plan, value))
    trial = study.ask()
    by, scale = _offsets_of(aim)
    drawn = draw_offsets(asked_of(trial), aim.layers, by, scale)
    return family.plan.model_copy(update={"score_offsets": drawn})


def _known(aim: Aim, plan: PruningPlan, value: float) -> optuna.trial.FrozenTrial:
    by, scale = _offsets_of(aim)
    quantiles = read_offsets(aim.layers, by, scale, plan.score_offsets)
    return optuna.trial.create_trial(
        params=quantiles, distributions=dict.fromkeys(quantiles, QUANTILES), value=value
    )


def _offsets_of(aim: Aim) -> tuple[Grouping, float]:
    assert aim.space.offset_scale is not None
    return aim.space.per_layer.group_by, aim.space.offset_scale
