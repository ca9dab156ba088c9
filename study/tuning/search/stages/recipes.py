"""The race of recipes: how long a network retrains after each cut, in which way, by which schedule.

Recipes differ over whole descents, and cannot be judged round by round. So scouts are descents of
their own, side by side: the textbook run at half its epochs, once as it is, and once with each
choice that the space has beside the textbook's: ways of retraining, schedules, saliencies. What
half of the epochs lose tells what more of them would gain. On five seeds of a small CNN the scout
lost 13 to 37 thousandths of accuracy, at equal size, and 2.5 times the epochs gained 0 to 31; of
LeNet-300-100 it lost -3 to 5, and as much more gained -3 to 4 (Fashion-MNIST and MNIST; the same
figures for coarser cuts at more epochs told nothing).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from search_spaces.values import Range, options
from study.pruning.plan import PruningPlan
from study.tuning.search.stages.equal_size import best_of, compared
from study.tuning.search.stages.portfolio import base
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

SHORTER, LONGER = 0.5, 2.5
"""How many of the textbook's epochs a scout and a challenger have, up to the dense run's."""

TELLING = 0.1
"""Share of what the textbook run loses below the dense network that half of the epochs must lose
beside it, before more of them are worth a whole descent."""

ERRORS = 2.0
"""Standard errors by which another choice must be better than the textbook's."""

WAYS = ("lr_rewind", "finetune", "weight_rewind")
"""Ways of retraining that are compared; the rest are controls."""


def scouts(aim: Aim, standing: Standing) -> Wanted:
    """The textbook run at half its epochs, as it is and with each other choice of the space."""
    return Wanted(_scouts(aim))


def challengers(aim: Aim, standing: Standing) -> Wanted:
    """The best method so far with what scouts showed to be worth it; none where nothing was."""
    gained, best = gains(aim, standing), base(aim, standing)
    if gained is None or best is None:
        return Wanted(is_settled=False)
    if best.plan.saliency != aim.textbook.saliency:
        gained.pop("saliency", None)  # scouts asked for another one than the textbook's
    return Wanted([best.plan.model_copy(update=gained)] if gained else [])


def gains(aim: Aim, standing: Standing) -> dict[str, Any] | None:
    """Fields of a plan that scouts showed to be worth it; None: not known yet."""
    plans = _scouts(aim)
    if standing.ended([aim.textbook, *plans]) is None:
        return None
    textbook = standing.of(aim.textbook)
    ended = [each for each in map(standing.of, plans) if each is not None and each.pruned]
    if textbook is None or not textbook.pruned or not ended or ended[0].plan != plans[0]:
        return {}  # there is nothing to compare with
    found: dict[str, Any] = {}
    if _loses_much(aim, ended[0], textbook) and _epochs(aim, LONGER) != _epochs(aim, 1.0):
        found["retrain_epochs"] = _epochs(aim, LONGER)
    for choices in _choices(aim):
        own = [each for each in ended if each.plan in [_scout(aim, fields) for fields in choices]]
        best = best_of(aim, [ended[0], *own])
        gap = compared(aim, best, ended[0])
        if gap.mean > ERRORS * gap.standard_error:
            found |= next(fields for fields in choices if _scout(aim, fields) == best.plan)
    return found


def winner(aim: Aim, standing: Standing) -> Tried | None:
    """The best method so far, or the challenger where that gains; None: not known yet."""
    raced, best = challengers(aim, standing), base(aim, standing)
    if best is None or not raced.is_settled:
        return None
    ended = standing.ended([best.plan, *raced.plans])
    if not ended:
        return None
    found = best_of(aim, ended)
    return found if compared(aim, found, ended[0]).is_gain else ended[0]


def _loses_much(aim: Aim, scout: Tried, textbook: Tried) -> bool:
    lost = compared(aim, textbook, scout)
    dense = aim.yardstick.worth(textbook.results[0])
    worths = [aim.yardstick.worth(result) for result in textbook.pruned]
    drop = dense - math.fsum(worths) / len(worths)
    return lost.is_gain and lost.mean > TELLING * drop


def _scouts(aim: Aim) -> list[PruningPlan]:
    choices = [fields for each in _choices(aim) for fields in each]
    if _epochs(aim, SHORTER) == aim.textbook.retrain_epochs and not choices:
        return []
    return [_scout(aim, fields) for fields in ({}, *choices)]


def _scout(aim: Aim, fields: Mapping[str, Any]) -> PruningPlan:
    return aim.textbook.model_copy(update={"retrain_epochs": _epochs(aim, SHORTER), **fields})


def _choices(aim: Aim) -> list[list[dict[str, Any]]]:
    """What the space has beside the textbook's own, one kind of choice after the other.

    A descent of one cut has one network, which tells nothing of the sizes before it.
    """
    space, own = aim.space, aim.textbook
    schedules = [each for each in options(space.schedule) if each != "one_shot"]
    return [
        [_way(aim, way) for way in _ways(aim)],
        [{"schedule": each} for each in schedules if each != own.schedule],
        [{"saliency": each} for each in options(space.saliency) if each != own.saliency],
    ]


def _epochs(aim: Aim, times: float) -> float:
    """So many times the textbook's epochs, within the dense run's and what the space allows."""
    own = aim.textbook.retrain_epochs
    assert own is not None
    wanted = min(times * own, max(aim.dense_epochs, own)) if aim.dense_epochs else times * own
    allowed = aim.space.retrain_epochs
    if isinstance(allowed, Range):
        least = float(allowed.low) if times > 1.0 else 0.0  # a scout may be shorter: it only tells
        return min(max(wanted, least), max(float(allowed.high), own))
    if allowed is not None:
        return min((own, *map(float, options(allowed))), key=lambda each: abs(each - wanted))
    return wanted


def _ways(aim: Aim) -> list[str]:
    allowed = options(aim.space.retrain)
    others = [way for way in WAYS if way in allowed and way != aim.textbook.retrain]
    if aim.constant_lr:  # to rewind the learning rate is to fine-tune then
        return [way for way in others if way != "finetune"]
    return others


def _way(aim: Aim, way: str) -> dict[str, Any]:
    """Fields of a way of retraining; weights go back to a fifth of the dense run, or so."""
    fields: dict[str, Any] = {"retrain": way, "rewind_epoch": None}
    if way == "weight_rewind":
        allowed = [float(e) for e in options(aim.space.rewind_epoch) if e <= aim.dense_epochs]
        fields["rewind_epoch"] = min(allowed, key=lambda e: abs(e - aim.dense_epochs / 5))
    return fields
