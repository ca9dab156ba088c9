"""Layer by layer: proxies over offsets of the best family's scores, drawn by a Gaussian process.

The prior has its mass at no offset: what is drawn is a quantile of a normal distribution around 0,
and the first point is its middle, the family's proxy itself. The process is told of all proxies
that have ended; what it draws next follows from these and the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna

from search_spaces.drawing import asked_of
from search_spaces.offsets import QUANTILES, draw_offsets, read_offsets
from search_spaces.values import Choose
from study.pruning.plan import COST_AWARE, PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.search.samplers import make_sampler
from study.tuning.search.stages.proxies import best_family, has_proxies, loss, proxy
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

MOST = 30
"""Proxies over offsets; on a small CNN 30 to 40 found what there was (.2 points)."""

IDLE = 12
"""Without a lower loss among so many in a row there are no more."""


def offsets(aim: Aim, standing: Standing) -> Wanted:
    """The next proxy; none where offsets have no meaning, or no more is to be gained."""
    if aim.space.form != "offsets" or not has_proxies(aim):
        return Wanted()
    family = best_family(aim, standing)
    if family is None:
        return Wanted(is_settled=False)
    if family.plan.allocation not in COST_AWARE:
        return Wanted()
    begun = moved(standing, family.plan)
    ended = [each for each in begun if each.is_over]
    if len(begun) >= MOST or _is_idle([loss(each) for each in (family, *ended)]):
        return Wanted(is_settled=len(ended) == len(begun))
    plan = _drawn(aim, family, ended, len(begun))
    return Wanted() if plan is None else Wanted([plan], is_settled=False)


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


def _is_idle(losses: Sequence[float]) -> bool:
    best = min(range(len(losses)), key=losses.__getitem__)
    return len(losses) - 1 - best >= IDLE


def _drawn(aim: Aim, family: Tried, ended: Sequence[Tried], number: int) -> PruningPlan | None:
    """What the process draws after these; None where there is but one group of layers."""
    study = optuna.create_study(
        sampler=make_sampler("gp", derive_seed(aim.sampler_seed, "offsets", number) % 2**32)
    )
    for each in (family, *ended):
        if (value := loss(each)) < math.inf:
            study.add_trial(_known(aim, each.plan, value))
    trial = study.ask()
    drawn = _draw(aim, asked_of(trial))
    if not trial.params:
        return None
    return family.plan.model_copy(update={"score_offsets": drawn})


def _known(aim: Aim, plan: PruningPlan, value: float) -> optuna.trial.FrozenTrial:
    by, scale = aim.space.per_layer.group_by, aim.space.offset_scale
    assert scale is not None
    quantiles = read_offsets(aim.layers, by, scale, plan.score_offsets)
    return optuna.trial.create_trial(
        params=quantiles, distributions=dict.fromkeys(quantiles, QUANTILES), value=value
    )


def _draw(aim: Aim, choose: Choose) -> dict[str, float]:
    assert aim.space.offset_scale is not None
    return draw_offsets(choose, aim.layers, aim.space.per_layer.group_by, aim.space.offset_scale)
