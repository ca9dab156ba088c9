"""Several pipelines that advance in one process as one batched program.

A small network leaves most of a GPU idle: many of them, stacked along a new axis, take little
longer than one. Each has its own plan, seeds, masks, data order and position in the learning-rate
schedule. Scoring, cutting and measuring are made one by one, as :func:`run_pipeline` makes them,
and so the results are its results up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.packed.state import Stack
from study.pruning.pipeline import Pipeline
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.pruning.states.progress import Progress
from study.pruning.training.steps import epoch_order, lr_in
from study.pruning.training.trajectory import Trajectory, train_dense
from study.records import RoundRecord, is_finite
from study.tasks.forward import working_dtype
from study.tasks.task import Task
from study.tasks.training.augmentation import augment
from study.tasks.training.optimizers import BY_NAME
from study.tasks.training.recipe import steps_per_epoch


def run_packed(
    plans: Sequence[PruningPlan],
    task: Task,
    starts: Sequence[Trajectory] | None = None,
    *,
    width: int = 32,
) -> Iterator[tuple[int, RoundRecord]]:
    """Run several plans on the same task together.

    Parameters
    ----------
    plans
        They may differ in everything.
    task
        The model, its data, and how to train it. The model must draw no random numbers in
        training; augmentation is allowed.
    starts
        Dense runs, one for each plan, each with the plan's seeds. None trains them first, one
        for all plans with the same seeds.
    width
        How many plans advance at a time. The others begin when one ends.

    Yields
    ------
    tuple of int and RoundRecord
        Place of the plan in ``plans``, and a round of it: in order within a plan, in the order
        in which they are finished among plans. ``wall_s`` has an equal share of what was
        trained together.

    Raises
    ------
    UsageError
        If a plan does not fit the task, or the model draws random numbers.
    """
    _check_packable(task)
    if starts is None:
        starts = _dense_runs(plans, task)
    waiting = list(zip(range(len(plans)), plans, starts, strict=True))
    lanes: list[_Lane] = []
    while waiting or lanes:
        while waiting and len(lanes) < width:
            index, plan, start = waiting.pop(0)
            lane = _Lane(index, plan, task, start)
            lanes.append(lane)
        for lane in [lane for lane in lanes if lane.has_trained]:
            yield lane.index, lane.measure_and_cut()
            if lane.over:
                lanes.remove(lane)
        training = [lane for lane in lanes if not lane.has_trained]
        if training:
            _advance(training, task)


def _check_packable(task: Task) -> None:
    """Refuse what a batched program of several networks cannot do.

    Raises
    ------
    UsageError
        It names the field.
    """
    batch = task.data.train.take(torch.arange(1))
    if not (isinstance(batch.inputs, Tensor) and isinstance(batch.targets, Tensor)):
        raise UsageError("run_packed: inputs and targets must be one tensor each.")
    for field in ("own_forward", "augment"):
        if getattr(task, field) is not None:
            raise UsageError(f"run_packed: a task with {field} cannot be packed; run it alone.")
    if task.recipe.distill is not None or task.recipe.optimizer not in BY_NAME:
        raise UsageError("run_packed: takes sgd, adam or adamw, and no distill; run it alone.")


def _dense_runs(plans: Sequence[PruningPlan], task: Task) -> list[Trajectory]:
    epochs: dict[tuple[int, int], set[float]] = {}
    for plan in plans:
        wanted = epochs.setdefault(plan.seeds[:2], set())
        if plan.rewind_epoch is not None:
            wanted.add(plan.rewind_epoch)
    of_seeds = {plan.seeds[:2]: plan.seeds for plan in plans}
    runs = {key: train_dense(task, of_seeds[key], wanted) for key, wanted in epochs.items()}
    return [runs[plan.seeds[:2]] for plan in plans]


class _Lane:
    """One pipeline, and where in a round it stands."""

    def __init__(self, index: int, plan: PruningPlan, task: Task, start: Trajectory) -> None:
        self.index = index
        self.over = False
        self._pipeline, self._task = Pipeline(plan, task, None), task
        self._per_epoch = steps_per_epoch(task.recipe, len(task.data.train))
        self.progress: Progress = self._pipeline.at_dense(start)
        self.optimizer = self._pipeline.load(self.progress.state)
        self.masked = self._pipeline.masked
        self._dtype = working_dtype(self.masked.model)
        self._losses: list[Tensor] = []
        self._order: tuple[int, Tensor] | None = None

    @property
    def has_trained(self) -> bool:
        """Whether all steps of the round are taken."""
        return self.progress.steps_done == self.progress.segment.steps

    @property
    def batch_sizes(self) -> tuple[int, int]:
        """Examples in the next batch, and how many batches of this size come one after another."""
        examples, size = len(self._task.data.train), self._task.recipe.batch_size
        batch = (self.progress.segment.data_step + self.progress.steps_done) % self._per_epoch
        left = self.progress.segment.steps - self.progress.steps_done
        if (batch + 1) * size > examples:
            return examples - batch * size, 1
        return size, min(left, examples // size - batch)

    def batch(self) -> tuple[Tensor, Tensor]:
        """The next examples, as training alone would take them."""
        segment, recipe = self.progress.segment, self._task.recipe
        split, seed = self._task.data.train, self._pipeline.plan.seeds.data
        epoch, batch = divmod(segment.data_step + self.progress.steps_done, self._per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = epoch_order(seed, epoch, len(split)).to(self._task.device)
            self._order = (epoch, order)
        if batch == 0:
            self._losses = []
        index = self._order[1][batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
        noise = torch.Generator(self._task.device)
        noise.manual_seed(derive_seed(seed, "noise") + epoch * self._per_epoch + batch)
        taken = split.take(index)
        inputs = self._task.prepared(taken.inputs, self._dtype)
        return augment(inputs, recipe, noise), taken.targets

    def lr(self) -> float:
        """Learning rate of the next step."""
        step = self.progress.steps_done
        return lr_in(self.progress.segment, step, self._task.recipe, self._per_epoch)

    def took_step(self, loss: Tensor, wall_s: float) -> None:
        """Note a step."""
        self._losses.append(loss)
        spent = self.progress.spent
        self.progress = replace(
            self.progress,
            steps_done=self.progress.steps_done + 1,
            spent=replace(spent, wall_s=spent.wall_s + wall_s),
        )

    def measure_and_cut(self) -> RoundRecord:
        """End the round, and begin the next if there is one."""
        if self._losses:
            loss = float(torch.stack(self._losses).double().mean())
            self.progress = replace(self.progress, train_loss=loss)
        record, self.progress = self._pipeline.measure(self.progress, self.optimizer)
        rounds = self._pipeline.plan.rounds
        self.over = record.round >= rounds or not is_finite(record.metrics)
        if not self.over:
            self.progress, self.optimizer = self._pipeline.cut(self.progress, self.optimizer)
            self._losses, self._order = [], None
        return record


def _advance(lanes: Sequence[_Lane], task: Task) -> None:
    """Train on until the first comes to an end of its round, or to a batch of another size.

    Those that stand before a full batch go first. The others wait for them, and from then on
    all come to the partial batch at the end of an epoch together.
    """
    largest = max(lane.batch_sizes[0] for lane in lanes)
    chosen = [lane for lane in lanes if lane.batch_sizes[0] == largest]
    steps = min(lane.batch_sizes[1] for lane in chosen)
    stack = Stack([(lane.masked, lane.optimizer) for lane in chosen], task)
    for _ in range(steps):
        begin = time.perf_counter()
        batches = [lane.batch() for lane in chosen]
        inputs, targets = (torch.stack(part) for part in zip(*batches, strict=True))
        lr = torch.tensor([lane.lr() for lane in chosen], device=task.device)
        losses = stack.step(inputs, targets, lr)
        wall_s = (time.perf_counter() - begin) / len(chosen)
        for lane, loss in zip(chosen, losses, strict=True):
            lane.took_step(loss, wall_s)
    stack.store()
