"""Short proxies: by which score weights are ranked, and which layers can take more than it says.

A proxy is a descent of four cuts, by half at most, towards where the textbook run ends, retrained
for a part of an epoch after each, at the learning rate that the dense run had halfway: cut by more,
or retrained at the rates of its end, networks are at chance and tell nothing. It is
judged by the loss, which tells more of so short a training than accuracy does. Measured on a small
CNN (Fashion-MNIST, multiply-adds), proxies rank as full runs do with a coefficient of .72 by loss
and .66 by accuracy. They mislead where whole channels go: those have full runs only.
"""

from __future__ import annotations

import math
from typing import Any

from search_spaces.structures import COST_AWARE, allocations_for, removal_of
from search_spaces.values import Range, options
from study.pruning.plan import PruningPlan
from study.tuning.search.stages.standing import Aim, Standing, Tried, Wanted

ROUNDS = 4
MOST_CUT = 0.5
"""Share of what remains that a cut of a proxy removes."""

EPOCHS = 0.3
LEAST_STEPS = 24
"""Optimizer steps after each cut of a proxy, where an epoch has few."""

FAMILIES = ("lamp", "global", "erk", "uniform_plus")
EXPONENTS = {"lamp": (0.0, 0.5, 1.0), "global": (0.0, 0.25, 0.5)}
"""LAMP's scores are shares of squares; magnitudes are none, and have half of the power."""


def families(aim: Aim, standing: Standing) -> Wanted:
    """A proxy of each family of allocations, rankings with each exponent of the cost."""
    return Wanted(_families(aim))


def _families(aim: Aim) -> list[PruningPlan]:
    return [proxy(aim, **fields) for fields in _choices(aim)] if has_proxies(aim) else []


def best_family(aim: Aim, standing: Standing) -> Tried | None:
    """The best of them, which may be the textbook's own.

    None while one is under way, and where all have failed.
    """
    ended = standing.ended(_families(aim))
    return None if not ended else min(ended, key=loss)


def have_failed(aim: Aim, standing: Standing) -> bool:
    """Whether all of them are over, and left nothing."""
    return standing.ended(_families(aim)) == []


def proxy(aim: Aim, **changed: Any) -> PruningPlan:
    """The textbook run, cut short."""
    short = max(EPOCHS, LEAST_STEPS / aim.steps_per_epoch)
    epochs = min(short, aim.textbook.retrain_epochs or short)
    same_size = {"budget": "macs", "cost": "macs"} if aim.is_for_cost else {}
    own = aim.textbook.sparsity
    assert isinstance(own, float)
    sparsity = min(own, 1.0 - (1.0 - MOST_CUT) ** ROUNDS)
    fields = {
        "sparsity": sparsity,
        "rounds": ROUNDS,
        "retrain_epochs": epochs,
        "rewind_epoch": None if aim.constant_lr else aim.dense_epochs / 2,
        **same_size,
        **changed,
    }
    return aim.textbook.model_copy(update=fields)


def has_proxies(aim: Aim) -> bool:
    """Whether proxies say anything.

    They do of single weights or blocks, if they are shorter than the descent and leave a choice.
    """
    removal = removal_of(aim.textbook.structure)
    is_free = removal.units is None and removal.pattern is None
    return is_free and aim.textbook.rounds > ROUNDS and len(_choices(aim)) > 1


def is_proxy(aim: Aim, plan: PruningPlan) -> bool:
    """Whether a plan is a proxy's."""
    own = proxy(aim)
    return (plan.rounds, plan.retrain_epochs) == (own.rounds, own.retrain_epochs)


def loss(tried: Tried) -> float:
    """Mean validation loss over its rounds; infinite where it did not come to its end."""
    losses = [float(result["val_loss"]) for result in tried.pruned]
    if len(losses) < tried.plan.rounds or not all(map(math.isfinite, losses)):
        return math.inf
    return math.fsum(losses) / len(losses)


def _choices(aim: Aim) -> list[dict[str, Any]]:
    """Families and exponents that the space has, and in any case the textbook's own."""
    space, own = aim.space, aim.textbook
    allowed = (*options(space.allocation), own.allocation)
    fitting = allocations_for(own.structure)
    found: list[dict[str, Any]] = []
    for name in FAMILIES:
        if name not in allowed or name not in fitting:
            continue
        exponents = _exponents(aim, name) if name in COST_AWARE else [0.0]
        found += [{"allocation": name, "cost_exponent": each} for each in exponents]
    return found


def _exponents(aim: Aim, name: str) -> list[float]:
    """Powers of the cost: those of the space, and some where multiply-adds are to be few."""
    allowed = aim.space.cost_exponent
    if not aim.costs_differ:
        return [0.0]  # any other ranks the same
    usual = EXPONENTS[name]
    if allowed == 0.0 and aim.is_for_cost:
        return list(usual)
    if isinstance(allowed, Range):
        inner = (each for each in usual if allowed.low < each < allowed.high)
        return sorted({0.0, float(allowed.low), *inner, float(allowed.high)})
    return sorted({0.0, *(float(each) for each in options(allowed))})
