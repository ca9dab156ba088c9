"""What goes back after a cut, and which stretch of training follows.

=============  ==================================  =====================  ==================
retrain        weights, biases, norms, statistics  learning rate          data order
=============  ==================================  =====================  ==================
finetune       stay                                stays at its last      goes on
lr_rewind      stay                                restarts at the epoch  goes on
weight_rewind  back to the epoch                   restarts at the epoch  back to the epoch
reinit         drawn anew, other in each round     restarts at 0          back to 0
=============  ==================================  =====================  ==================

The plan's ``retrain_lr`` is the highest learning rate in place of the dense run's, and its
``retrain_lr_schedule`` a course fitted to the retraining in place of a position in the dense run's;
new weights then rise to it over the recipe's ``warmup_epochs``, as those of the dense run did.

"The epoch" is the plan's ``rewind_epoch``; where lr_rewind has none, it is the one from which
``retrain_epochs`` reach the end of the schedule. The masks never go back. The optimizer begins
fresh, or with ``optimizer_state = "keep"`` has the state that belongs to the weights: the present
one, or for weight_rewind that of the epoch; it is zero where the masks are.

References
----------
Renda et al. 2020, "Comparing Rewinding and Fine-tuning in Neural Network Pruning"; Frankle et
al. 2020, "Linear Mode Connectivity and the Lottery Ticket Hypothesis".
"""

from __future__ import annotations

import torch

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.pruning.training.model_state import copy_state
from study.pruning.training.steps import Segment
from study.pruning.training.train_state import TrainState, load_model, load_optimizer
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps, step_of_epoch
from study.tasks.task import Task
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import steps_per_epoch


def rewind_steps(plan: PruningPlan, task: Task) -> tuple[int, ...]:
    """Steps of the dense run whose states the plan goes back to.

    Raises
    ------
    UsageError
        If ``rewind_epoch`` lies past the end of the dense run, or there is none that says how long
        to retrain.
    """
    if task.recipe.epochs == 0 and plan.retrain_epochs is None:
        raise UsageError(
            "retrain_epochs: there is no dense run (epochs is 0) that says how long to retrain; "
            "set it."
        )
    if plan.rewind_epoch is None:
        return ()
    step = step_of_epoch(task, plan.rewind_epoch)
    return (step,) if plan.retrain == "weight_rewind" else ()


def check_fresh_weights(plan: PruningPlan, task: Task) -> None:
    """Refuse to begin anew from a model function that always gives the same weights.

    Raises
    ------
    UsageError
        If the plan is to reinitialise, and two seeds give the same weights.
    """
    if plan.retrain != "reinit":
        return
    first, second = (
        dict(build_model(task, derive_seed(plan.seeds.init, "fresh", n)).named_parameters())
        for n in (1, 2)
    )
    kept = [
        name
        for name, weight in first.items()
        if weight.dim() > 1
        and torch.equal(weight, second[name])
        and bool((weight != weight.flatten()[0]).any())  # not one that begins at a constant
    ]
    if kept:
        raise UsageError(
            f"retrain reinit: model() gives {kept[0]} (and {len(kept) - 1} others) the same "
            "weights whatever the seed, such as those of a checkpoint, so there is nothing to "
            "begin anew from. Let it build a fresh network, and name the checkpoint as "
            "task.weights."
        )


def retrain_segment(plan: PruningPlan, task: Task, data_step: int) -> Segment:
    """The stretch of training after a cut.

    Parameters
    ----------
    plan, task
        The recipes of pruning and of training.
    data_step
        Position in the data order at which the training before the cut ended.
    """
    last = dense_steps(task)
    per_epoch = steps_per_epoch(task.recipe, len(task.data.train))
    course = (plan.retrain_lr, plan.retrain_lr_schedule)
    own = None if plan.retrain_epochs is None else round(plan.retrain_epochs * per_epoch)
    if plan.retrain == "finetune":
        steps = last if own is None else own
        return Segment(steps, max(last - 1, 0), False, data_step, *course)
    if plan.retrain == "reinit":
        steps = last if own is None else own
        rise = task.recipe.warmup_epochs if plan.retrain_lr_schedule is not None else 0
        return Segment(steps, 0, True, 0, *course, warmup_steps=round(rise * per_epoch))
    if plan.rewind_epoch is None:  # lr_rewind to where the steps just reach the end
        begin = 0 if own is None else max(last - own, 0)
    else:
        begin = step_of_epoch(task, plan.rewind_epoch)
    steps = last - begin if own is None else own
    first = begin if plan.retrain == "weight_rewind" else data_step
    return Segment(steps, begin, True, first, *course)


def go_back(
    plan: PruningPlan, task: Task, round_: int, masked: MaskedLayers, trajectory: Trajectory
) -> None:
    """Put the weights where the retraining of this round starts, and mask them.

    The states of the trajectory are copied from, never written to.
    """
    if plan.retrain == "weight_rewind":
        (step,) = rewind_steps(plan, task)
        load_model(masked.model, trajectory.states[step])
    elif plan.retrain == "reinit":
        fresh = build_model(task, derive_seed(plan.seeds.init, "reinit", round_))
        load_model(masked.model, TrainState(copy_state(fresh), {}))
    masked.apply()


def retrain_optimizer(
    plan: PruningPlan,
    task: Task,
    masked: MaskedLayers,
    before: torch.optim.Optimizer,
    trajectory: Trajectory,
) -> torch.optim.Optimizer:
    """The optimizer with which the retraining starts; it remembers nothing of pruned weights."""
    if plan.optimizer_state == "fresh":
        return build_optimizer(task.recipe, masked.model)
    if plan.retrain == "weight_rewind":
        (step,) = rewind_steps(plan, task)
        load_optimizer(before, masked.model, trajectory.states[step])
    masked.clear_optimizer_state(before)
    return before
