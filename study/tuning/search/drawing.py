"""How the plan of a trial is drawn from a space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from search_spaces import Layer, SearchSpace
from study.plugins import import_string
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.search.coupled import Curves


def draw_plan(
    space: SearchSpace,
    trial: optuna.trial.BaseTrial,
    layers: Sequence[Layer],
    seed: int,
    scanned: Curves | None = None,
) -> PruningPlan:
    """Draw a plan from a space, or from the user's own function that stands for one."""
    if space.function is None:
        return plan_of(space.suggest(trial, layers), seed, scanned)
    drawn = import_string("space.function", space.function)(trial, layers)
    fields = drawn.model_dump() if isinstance(drawn, PruningPlan) else dict(drawn)
    return PruningPlan.model_validate({**fields, "seed": seed})


def plan_of(fields: Mapping[str, Any], seed: int, scanned: Curves | None) -> PruningPlan:
    """A plan of a space's fields; one that goes by a scan has with it what the scan found."""
    found = {"scanned_drops": scanned} if fields["allocation"] == "sensitivity" else {}
    return PruningPlan.model_validate({**fields, **found, "seed": seed})


def explores(number: int, share: float, seed: int) -> bool:
    """Whether the trial of this number is drawn at random.

    Of every ``1 / share`` trials in a row exactly one is, at a place that the seed decides: at
    equal distances, it could always meet the same level of whatever else takes turns.
    """
    if share == 0:
        return False
    block = math.floor(number * share + 1e-9)
    begin, end = (math.ceil(each / share - 1e-9) for each in (block, block + 1))
    return number == begin + derive_seed(seed, "exploration", block) % (end - begin)
