"""Searches whose trials are made up: what their networks come to is a formula of the plan."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces import Layer, SearchSpace
from study.pruning.plan import PruningPlan
from study.tuning.early_stopping.history import Yardstick
from study.tuning.search.stages.next_plan import next_plan
from study.tuning.search.stages.standing import Aim, Standing, Tried

LAYERS = (Layer("conv", 400, "conv"), Layer("fc1", 30_000, "linear"), Layer("fc2", 1_000, "linear"))
ROUNDS = 21

Merit = Callable[[PruningPlan], float]
"""How good the networks of a plan are, beside those of others at equal size."""


def aim(size: str = "density", **space: Any) -> Aim:
    textbook = PruningPlan(
        sparsity=1.0 - 0.8**ROUNDS,
        allocation="lamp",
        rounds=ROUNDS,
        retrain="lr_rewind",
        retrain_epochs=2.0,
    )
    table = {"rounds": [1, 30], "retrain_epochs": [1.0, 8.0], "retrain": "lr_rewind", **space}
    return Aim(
        space=SearchSpace.model_validate(table),
        layers=LAYERS,
        textbook=textbook,
        yardstick=Yardstick("val_accuracy", True, (size,)),
        size=size,
        dense_epochs=10.0,
        steps_per_epoch=100,
        constant_lr=False,
    )


def ended(plan: PruningPlan, merit: float = 0.0, rounds: int | None = None) -> Tried:
    return Tried(plan, tuple(results(plan, merit, rounds)), is_over=True)


def results(plan: PruningPlan, merit: float, rounds: int | None = None) -> list[dict[str, Any]]:
    """The dense network, and those of each round: worse the fewer weights are left."""
    assert isinstance(plan.sparsity, float)
    found = []
    for round_ in range((plan.rounds if rounds is None else rounds) + 1):
        density = (1.0 - plan.sparsity) ** (round_ / plan.rounds)
        gain = merit if round_ else 0.0
        found.append(
            {
                "round": round_,
                "density": density,
                "macs": 1e6 * density,
                "val_accuracy": 0.9 + 0.02 * math.log(density) + gain,
                "val_loss": 0.5 - 0.1 * math.log(density) - gain,
            }
        )
    return found


def whole_search(
    purpose: Aim,
    merit: Merit,
    most: int = 100,
    trial: Callable[[PruningPlan], Tried] | None = None,
) -> list[tuple[str, PruningPlan]]:
    """What a search runs, one plan after the other, until nothing more is wanted."""
    tried: dict[str, Tried] = {}
    ran: list[tuple[str, PruningPlan]] = []
    while len(ran) < most:
        found = next_plan(purpose, Standing(tried))
        if isinstance(found, str):
            assert found == "over"
            return ran
        assert found.plan.content_hash() not in tried
        ran.append((found.stage, found.plan))
        own = ended(found.plan, merit(found.plan)) if trial is None else trial(found.plan)
        tried[found.plan.content_hash()] = own
    raise AssertionError(f"no end after {most} plans")


def of_stage(ran: list[tuple[str, PruningPlan]], stage: str) -> list[PruningPlan]:
    return [plan for name, plan in ran if name == stage]


def changed(plan: PruningPlan, fields: Mapping[str, Any]) -> PruningPlan:
    return plan.model_copy(update=dict(fields))
