"""What the stages of a search are for, as a study that is prepared has it."""

from __future__ import annotations

import math
from functools import partial

from study.objectives import Constraint, size_of
from study.pruning.channels import run_examples
from study.pruning.cost import dense_cost
from study.pruning.masking.choosing import mask_layers
from study.pruning.plan import PruningPlan
from study.pruning.training.trajectory import build_model
from study.tasks.training.recipe import steps_per_epoch
from study.tuning.early_stopping.history import make_yardstick
from study.tuning.preparing import Prepared
from study.tuning.search.stages.standing import Aim

AT_ONE_SIZE = 5
"""Sizes down to the target at which descents are compared, where networks of just one size are
sought: a single network says less than five that lead to it."""


def aim_of(prepared: Prepared, textbook: PruningPlan) -> Aim:
    """What the stages of a study's search are for."""
    config, recipe = prepared.config, prepared.task.recipe
    target = config.search.target
    return Aim(
        space=config.space,
        layers=prepared.drawn,
        textbook=textbook,
        yardstick=make_yardstick(config, "search.sampler: stages"),
        size=size_of(config.objectives) if target is None else Constraint.parse(target).column,
        dense_epochs=recipe.epochs,
        steps_per_epoch=steps_per_epoch(recipe, len(prepared.task.data.train)),
        constant_lr=not recipe.epochs
        or (recipe.lr_schedule == "constant" and not recipe.warmup_epochs),
        costs_differ=_costs_differ(prepared),
        last_sizes=None if target is None else AT_ONE_SIZE,
        sampler_seed=config.study.seed,
    )


def _costs_differ(prepared: Prepared) -> bool:
    """Whether a weight of one layer takes part in more multiply-adds than one of another."""
    task, space = prepared.task, prepared.config.space
    masked = mask_layers(
        build_model(task, init_seed=0), space.include or None, space.exclude or None
    )
    costs = dense_cost(masked, partial(run_examples, task)).macs_by_layer
    each = [costs[name] / total for name, total in masked.total.items()]
    return not all(math.isclose(cost, each[0]) for cost in each)
