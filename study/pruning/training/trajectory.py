"""The dense run that pruning starts from, and the states of it that a plan may go back to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from study.errors import UsageError
from study.pruning.seeds import Seeds
from study.pruning.training.fingerprint import Fingerprint, fingerprint
from study.pruning.training.steps import Segment, train
from study.pruning.training.train_state import TrainState, capture, load_model, load_optimizer
from study.tasks.task import Task
from study.tasks.training.checkpoints import put_checkpoint
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import steps_per_epoch


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States of one dense run, by optimizer step.

    Parameters
    ----------
    states
        Step 0 (freshly initialised) is always among them. A run is finished when its last step
        is; before that it can be continued.
    train_loss
        Mean training loss over the last epoch.
    wall_s
        Time that the training took.
    origin
        What it is a run of; None where that is not known.
    """

    states: Mapping[int, TrainState]
    train_loss: float
    wall_s: float
    origin: Fingerprint | None = None

    def only(self, steps: Iterable[int]) -> Trajectory:
        """The same run with fewer states."""
        kept = {step: self.states[step] for step in sorted({0, *steps})}
        return replace(self, states=kept)


def dense_steps(task: Task) -> int:
    """Optimizer steps of the dense run."""
    return task.recipe.epochs * steps_per_epoch(task.recipe, len(task.data.train))


def step_of_epoch(task: Task, epoch: float) -> int:
    """The step nearest to an epoch of the dense run, which may be a fraction.

    Raises
    ------
    UsageError
        If the dense run does not get that far.
    """
    if epoch > task.recipe.epochs:
        reason = ""
        if task.recipe.weights is not None:
            reason = " It begins at task.weights, and what came before these is not known."
        raise UsageError(
            f"rewind_epoch is {epoch}, past the end of the dense run of {task.recipe.epochs} "
            f"epochs. Allowed: 0 to {task.recipe.epochs}.{reason}"
        )
    return round(epoch * steps_per_epoch(task.recipe, len(task.data.train)))


def build_model(task: Task, init_seed: int) -> nn.Module:
    """Build the task's model with initial weights that follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(init_seed)
        model = task.build_model().to(task.device)
    if task.recipe.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def train_dense(
    task: Task,
    seeds: Seeds,
    rewind_epochs: Iterable[float] = (),
    resume: Trajectory | None = None,
    checkpoint: Callable[[Trajectory], None] | None = None,
) -> Trajectory:
    """Train the dense model, or the part of it that is missing.

    Parameters
    ----------
    task
        What is trained.
    seeds
        Of the initial weights and of the data order.
    rewind_epochs
        Epochs whose states are to be among the result's.
    resume
        A run of the same task and seeds; only states that it lacks are computed, each from the
        nearest one before it.
    checkpoint
        Called after every epoch with the run so far: the states that are wanted, and the newest.

    Returns
    -------
    Trajectory
        With the states at step 0, at the rewind epochs and at the last step.

    Raises
    ------
    UsageError
        If ``resume`` is a run of something else.
    """
    last = dense_steps(task)
    wanted = {0, last, *(step_of_epoch(task, epoch) for epoch in rewind_epochs)}
    origin = fingerprint(task, seeds)
    if resume is not None:
        refuse_another(resume.origin, origin)
        if wanted <= resume.states.keys():
            return resume.only(wanted)
    model = build_model(task, seeds.init)
    if resume is None:
        if task.checkpoint is not None:
            put_checkpoint(model, task.checkpoint, str(task.recipe.weights))
        states = {0: capture(model, build_optimizer(task.recipe, model))}
        train_loss, wall_before = float("nan"), 0.0
    else:
        states, train_loss, wall_before = dict(resume.states), resume.train_loss, resume.wall_s
    started = time.perf_counter()

    def so_far(states: Mapping[int, TrainState]) -> Trajectory:
        wall_s = wall_before + time.perf_counter() - started
        return Trajectory(dict(states), train_loss, wall_s, origin)

    for target in sorted(wanted - states.keys()):
        begin = max(step for step in states if step < target)
        optimizer = build_optimizer(task.recipe, model)
        load_model(model, states[begin])
        load_optimizer(optimizer, model, states[begin])

        def after_epoch(
            steps: int, begin: int = begin, optimizer: torch.optim.Optimizer = optimizer
        ) -> None:
            if checkpoint is not None:
                checkpoint(so_far({**states, begin + steps: capture(model, optimizer)}))

        segment = Segment(target - begin, begin, lr_moves=True, data_step=begin)
        loss = train(model, optimizer, task, segment, seeds.data, after_epoch=after_epoch)
        states[target] = capture(model, optimizer)
        if target == last:
            train_loss = loss
    return so_far(states).only(wanted)


def refuse_another(found: Fingerprint | None, needed: Fingerprint) -> None:
    """Make sure that a dense run is one of this task and these seeds.

    Raises
    ------
    UsageError
        It says in what the two differ.
    """
    differing = [] if found is None else needed.differences(found)
    if not differing:
        return
    names = {
        "init_seed": "seed of the initial weights",
        "data_seed": "seed of the data order",
        "behaviour": "loss or initial weights",
    }
    differing = [names.get(field, field) for field in differing]
    raise UsageError(
        f"start: this dense run is of another {' and another '.join(differing)} than the plan and "
        "the task. Train one with train_dense(task, plan.seeds), or leave start out."
    )
