"""Every saliency, schedule and way of retraining, once on a few examples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from search_spaces.structures import structure_text
from study.errors import UsageError
from study.plugins import resolve
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.rehearsal.data import EXAMPLES
from study.pruning.rehearsal.naming import naming
from study.pruning.selection.schedule import SCHEDULES
from study.pruning.timing import Timing
from study.tasks.data.splits import Split, few
from study.tasks.judging.losses import class_weights
from study.tasks.task import Task


def rehearse_plans(task: Task, plans: Iterable[PruningPlan], timing: Timing | None = None) -> None:
    """Try plans on a few examples of a task that was tried before.

    Parameters
    ----------
    task
        The task.
    plans
        Between them, every saliency, schedule and way of retraining that will be used. Each is
        tried for one round at half of the weights.
    timing
        How latency is measured: whether it can be is found out as well, once for each structure,
        since measurements may wait for others on the machine.

    Raises
    ------
    UsageError
        If something is wrong; it names the part of the plan.
    """
    small = _small(task)
    brief = None if timing is None else replace(timing, repeats=2)
    timed: set[str] = set()
    for plan in plans:
        _check_schedule(plan)
        structure = structure_text(plan.structure)
        is_known = structure in timed and plan.by_latency is None
        timed.add(structure)
        with naming(f"a round with saliency {plan.saliency!r}, retrain {plan.retrain!r}"):
            list(run_pipeline(_short(plan), small, timing=None if is_known else brief))


def _check_schedule(plan: PruningPlan) -> None:
    with naming(f"schedule {plan.schedule!r}"):
        own = resolve("schedule", plan.schedule, SCHEDULES)
        levels = [float(own(k, plan.rounds, 0.9)) for k in range(1, plan.rounds + 1)]
    falls = any(b < a - 1e-9 for a, b in zip([0.0, *levels], levels, strict=False))
    if falls or not math.isclose(levels[-1], 0.9, abs_tol=1e-9):
        raise UsageError(
            f"schedule {plan.schedule!r}: to sparsity 0.9 in {plan.rounds} rounds it gives "
            f"{[round(level, 4) for level in levels]}; it must never fall, and end at the target."
        )


def _small(task: Task) -> Task:
    """The task on a few examples, for one short epoch."""
    size = min(EXAMPLES, task.recipe.batch_size, len(task.data.train))
    splits = task.data.train, task.data.validation
    train, validation = (Split(*split.take(few(split, max(size, 2)))) for split in splits)
    weights = class_weights(task.recipe.class_weights, task.data.train, task.device)
    recipe = task.recipe.model_copy(
        update={
            "epochs": min(task.recipe.epochs, 1),
            "batch_size": max(size, 2),
            "warmup_epochs": 0.0,
            "compile": False,
            "class_weights": None if weights is None else tuple(weights.tolist()),
        }
    )
    data = replace(task.data, train=train, validation=validation)
    # Its metrics were tried on enough examples before; on these they may not be defined.
    return replace(task, data=data, recipe=recipe, own_metrics=())


def _short(plan: PruningPlan) -> PruningPlan:
    """One round of a plan, at half of the weights; of other structures at what is possible."""
    sparsity: Any = plan.sparsity
    if isinstance(sparsity, dict):
        sparsity = dict.fromkeys(sparsity, 0.5)
    elif plan.removal.units and plan.removal.entries is None:  # more may not be possible
        sparsity = plan.sparsity_at(1)
    elif plan.removal.is_mixed or plan.removal.pattern:  # its end shows all that there is
        sparsity = plan.sparsity
    elif sparsity is not None:
        sparsity = 0.5
    return plan.model_copy(
        update={
            "rounds": 1,
            "schedule": "one_shot",
            "sparsity": sparsity,
            "rewind_epoch": None if plan.rewind_epoch is None else 0.0,
            "retrain_epochs": 1.0,
            "layer_floor": None if plan.layer_floor is None else min(plan.layer_floor, 0.5),
        }
    )
