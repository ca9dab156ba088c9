"""Layer by layer: runs over offsets of the best method's scores, drawn by a Gaussian process.

Of single weights they are proxies, where multiply-adds are to be few, and while proxies predict:
where the best family, run in full, turned out worse than the textbook run, no layer is moved. Where
weights are to be few LAMP's own shares were not improved on: ten times, on two tasks, the best of
12 to 24 proxies with offsets came, in full, to between -.0024 and .0025 beside no offsets, 0 on
average. Of whole channels and other units, where proxies mislead, they are a few whole descents.

The prior has its mass at no offset: what is drawn is a quantile of a normal distribution around 0,
and the first point is its middle, the run without offsets. The process is told of all that have
ended; what it draws next follows from these and the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna

from search_spaces.drawing import asked_of
from search_spaces.layers import Grouping, group_layers
from search_spaces.offsets import QUANTILES, draw_offsets, read_offsets
from search_spaces.structures import COST_AWARE, is_units
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.search.samplers import make_sampler
from study.tuning.search.stages.equal_size import compared
from study.tuning.search.stages.portfolio import base, proxies_hold
from study.tuning.search.stages.proxies import best_family, has_proxies, is_proxy, loss
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

MOST, IDLE = 30, 12
"""Proxies at most, and how many in a row without gain are the last; on a small CNN 30 to 40 found
what there was (.2 points)."""

MOST_IN_FULL, IDLE_IN_FULL = 6, 3
"""Likewise of whole descents."""


def offsets(aim: Aim, standing: Standing) -> Wanted:
    """The next run; none where offsets have no meaning, or no more is to be gained."""
    if are_over(aim, standing):
        return Wanted()
    start = _start(aim, standing)
    if start is None or not _is_to_go_on(aim, standing, start):
        return Wanted(is_settled=False)
    begun = moved(standing, start.plan)
    ended = [each for each in begun if each.is_over]
    return Wanted([_drawn(aim, start, ended, len(begun))], is_settled=False)


def are_over(aim: Aim, standing: Standing) -> bool:
    """Whether all runs over offsets that there will be have ended."""
    if not _have_meaning(aim) or (has_proxies(aim) and proxies_hold(aim, standing) is False):
        return True
    start = _start(aim, standing)
    if start is None:
        return False
    if start.plan.allocation not in COST_AWARE:
        return True
    is_done = not _is_to_go_on(aim, standing, start)
    return is_done and all(each.is_over for each in moved(standing, start.plan))


def best_offsets(aim: Aim, standing: Standing) -> Tried | None:
    """The best run with offsets, if it is better than the same one without."""
    start = _start(aim, standing)
    if start is None:
        return None
    ended = [each for each in moved(standing, start.plan) if each.is_over]
    best = min((start, *ended), key=lambda each: _worse(aim, start, each))
    return None if best is start else best


def is_of_offsets(aim: Aim, standing: Standing, plan: PruningPlan) -> bool:
    """Whether a plan is such a run's."""
    if has_proxies(aim):
        return bool(plan.score_offsets) and is_proxy(aim, plan)
    start = _start(aim, standing)
    return start is not None and _without(plan) == start.plan != plan


def moved(standing: Standing, plan: PruningPlan) -> list[Tried]:
    """Runs of this plan that have offsets, in the order in which they were begun."""
    return [
        each
        for each in standing.tried.values()
        if each.plan.score_offsets and _without(each.plan) == plan
    ]


def _without(plan: PruningPlan) -> PruningPlan:
    return plan.model_copy(update={"score_offsets": {}})


def _start(aim: Aim, standing: Standing) -> Tried | None:
    """The run without offsets; None: not known yet."""
    if not has_proxies(aim):
        return base(aim, standing)
    return None if proxies_hold(aim, standing) is None else best_family(aim, standing)


def _worse(aim: Aim, start: Tried, tried: Tried) -> float:
    """How much worse a run is than another, in the terms by which its like are judged."""
    if has_proxies(aim):
        return loss(tried)
    gain = compared(aim, tried, start).mean
    return math.inf if math.isnan(gain) else -gain


def _is_to_go_on(aim: Aim, standing: Standing, start: Tried) -> bool:
    most, idle = (MOST, IDLE) if has_proxies(aim) else (MOST_IN_FULL, IDLE_IN_FULL)
    begun = moved(standing, start.plan)
    found = [_worse(aim, start, each) for each in (start, *begun) if each.is_over]
    best = min(range(len(found)), key=found.__getitem__)
    return len(begun) < most and len(found) - 1 - best < idle


def _have_meaning(aim: Aim) -> bool:
    groups = group_layers(aim.layers, aim.space.per_layer.group_by)
    are_cheap = has_proxies(aim) and aim.is_for_cost
    has_runs = are_cheap or is_units(aim.textbook.structure)
    return aim.space.form == "offsets" and len(groups) > 1 and has_runs


def _drawn(aim: Aim, start: Tried, ended: Sequence[Tried], number: int) -> PruningPlan:
    """What the process draws after these."""
    study = optuna.create_study(
        sampler=make_sampler("gp", derive_seed(aim.sampler_seed, "offsets", number) % 2**32)
    )
    for each in (start, *ended):
        if (value := _worse(aim, start, each)) < math.inf:
            study.add_trial(_known(aim, each.plan, value))
    trial = study.ask()
    by, scale = _offsets_of(aim)
    drawn = draw_offsets(asked_of(trial), aim.layers, by, scale)
    return start.plan.model_copy(update={"score_offsets": drawn})


def _known(aim: Aim, plan: PruningPlan, value: float) -> optuna.trial.FrozenTrial:
    by, scale = _offsets_of(aim)
    quantiles = read_offsets(aim.layers, by, scale, plan.score_offsets)
    return optuna.trial.create_trial(
        params=quantiles, distributions=dict.fromkeys(quantiles, QUANTILES), value=value
    )


def _offsets_of(aim: Aim) -> tuple[Grouping, float]:
    assert aim.space.offset_scale is not None
    return aim.space.per_layer.group_by, aim.space.offset_scale
