"""The race of recipes: how much goes each round, how long it retrains, and in which way.

Recipes differ over whole descents, and cannot be judged round by round. So scouts are descents of
their own that cost no more than the textbook run, side by side. One has half its rounds and twice
its epochs in each: where that is better at equal size, longer retraining is worth more than small
steps, and the descent is run with both. Others take half of what remains each round, at a third of
the cost, once for each way of retraining, and are compared among themselves.
"""

from __future__ import annotations

from typing import Any

from search_spaces.cuts import rounds_of
from search_spaces.values import Range, options
from study.pruning.plan import PruningPlan
from study.tuning.search.stages.equal_size import best_of, difference
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

SLOWER_CUT, SLOWER = 0.36, 2.0
"""Two rounds of the textbook's in one, and how many times its epochs."""

SCOUTING_CUT = 0.5
"""Share of what remains that goes each round where ways of retraining are compared."""

LONGER = 2.5
"""How many times the textbook's epochs a longer retraining has, up to the dense run's."""

WAYS = ("lr_rewind", "finetune", "weight_rewind")
"""Ways of retraining that are compared, that of the textbook first."""


def scouts(aim: Aim, standing: Standing) -> Wanted:
    """Whole descents that cost no more than the textbook run, and tell what is worth more."""
    slower = _slower(aim)
    return Wanted([*([] if slower is None else [slower]), *_coarse(aim)])


def challengers(aim: Aim, standing: Standing) -> Wanted:
    """The textbook run with what scouts showed to be worth it; none where nothing was."""
    gained = gains(aim, standing)
    if gained is None:
        return Wanted(is_settled=False)
    return Wanted([aim.textbook.model_copy(update=gained)] if gained else [])


def gains(aim: Aim, standing: Standing) -> dict[str, Any] | None:
    """Fields of a plan in which scouts gained on the textbook's recipe; None: not known yet."""
    slower, coarse = _slower(aim), _coarse(aim)
    plans = [aim.textbook, *([] if slower is None else [slower]), *coarse]
    if standing.ended(plans) is None:
        return None
    found: dict[str, Any] = {}
    if slower is not None and _is_better(aim, standing, slower, aim.textbook):
        found["retrain_epochs"] = _longer(aim, LONGER)
    ended = [each for each in map(standing.of, coarse) if each is not None and each.pruned]
    if len(ended) > 1:
        best = best_of(aim, ended)
        if _is_better(aim, standing, best.plan, coarse[0]):
            found |= {"retrain": best.plan.retrain, "rewind_epoch": best.plan.rewind_epoch}
    return found


def winner(aim: Aim, standing: Standing) -> Tried | None:
    """The textbook run, or what gained on it in the race; None while one is still under way."""
    raced = challengers(aim, standing)
    if not raced.is_settled:
        return None
    slower = _slower(aim)
    plans = [aim.textbook, *([] if slower is None else [slower]), *raced.plans]
    ended = standing.ended(plans)
    if not ended:
        return None
    best = best_of(aim, ended)
    return best if difference(aim, best, ended[0]).is_gain else ended[0]


def _is_better(aim: Aim, standing: Standing, one: PruningPlan, other: PruningPlan) -> bool:
    first, second = standing.of(one), standing.of(other)
    if first is None or second is None:
        return False
    return difference(aim, first, second).is_gain


def _slower(aim: Aim) -> PruningPlan | None:
    """Half the rounds, twice the epochs; None where the space has no longer retraining."""
    epochs = _longer(aim, SLOWER)
    rounds = _rounds(aim, SLOWER_CUT)
    if rounds >= aim.textbook.rounds or epochs == aim.textbook.retrain_epochs:
        return None
    return aim.textbook.model_copy(update={"rounds": rounds, "retrain_epochs": epochs})


def _coarse(aim: Aim) -> list[PruningPlan]:
    """A coarse descent for each way of retraining, where there are several."""
    rounds, ways = _rounds(aim, SCOUTING_CUT), _ways(aim)
    if rounds >= aim.textbook.rounds or len(ways) < 2:
        return []
    return [aim.textbook.model_copy(update={"rounds": rounds, **_way(aim, way)}) for way in ways]


def _rounds(aim: Aim, cut: float) -> int:
    assert isinstance(aim.textbook.sparsity, float)
    return rounds_of(cut, 1.0 - aim.textbook.sparsity)


def _longer(aim: Aim, times: float) -> float:
    """So many times the textbook's epochs, within the dense run's and what the space allows."""
    own = aim.textbook.retrain_epochs
    assert own is not None
    longer = min(times * own, max(aim.dense_epochs, own))
    allowed = aim.space.retrain_epochs
    if isinstance(allowed, Range):
        return max(min(longer, float(allowed.high)), own)
    if allowed is not None:
        return float(max((e for e in options(allowed) if e <= longer), default=own))
    return longer


def _ways(aim: Aim) -> list[str]:
    allowed = options(aim.space.retrain)
    others = [way for way in WAYS if way in allowed and way != aim.textbook.retrain]
    if aim.constant_lr:  # to rewind the learning rate is to fine-tune then
        others = [way for way in others if way != "finetune"]
    return [aim.textbook.retrain, *others]


def _way(aim: Aim, way: str) -> dict[str, Any]:
    """Fields of a way of retraining; weights go back to a fifth of the dense run, or so."""
    fields: dict[str, Any] = {"retrain": way, "rewind_epoch": None}
    if way == "weight_rewind":
        allowed = [float(e) for e in options(aim.space.rewind_epoch) if e <= aim.dense_epochs]
        fields["rewind_epoch"] = min(allowed, key=lambda e: abs(e - aim.dense_epochs / 5))
    return fields
