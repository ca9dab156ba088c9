"""Training as a pure function of (weights, masks, optimizer state, position).

Which examples make up a step, and what noise augmentation and dropout draw in it, follows from
the data seed and the step's number alone. So a state needs no random generator in it, and
training that is cut anywhere goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.pruning.masking.masks import MaskedLayers
from study.pruning.seeds import derive_seed
from study.pruning.training.updates import make_update
from study.tasks.data.splits import Draw
from study.tasks.forward import working_dtype
from study.tasks.judging.losses import distillation
from study.tasks.task import Task
from study.tasks.training.augmentation import augment
from study.tasks.training.learning_rate import factor, lr_at, risen
from study.tasks.training.optimizers import is_entry_by_entry
from study.tasks.training.recipe import Recipe, steps_per_epoch


@dataclass(frozen=True)
class Segment:
    """A stretch of training: where it begins and how long it is.

    Parameters
    ----------
    steps
        Optimizer steps.
    lr_step
        Position in the learning-rate schedule at the first step.
    lr_moves
        Whether that position goes on with the steps, or stays.
    data_step
        Position in the data order at the first step.
    lr
        Highest learning rate; None: the dense run's.
    lr_schedule
        A course fitted to this stretch, in place of a position in the dense run's.
    warmup_steps
        With such a course: steps over which the learning rate rises to it.
    """

    steps: int
    lr_step: int
    lr_moves: bool
    data_step: int
    lr: float | None = None
    lr_schedule: str | None = None
    warmup_steps: int = 0


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    segment: Segment,
    data_seed: int,
    first: int = 0,
    after_epoch: Callable[[int], None] | None = None,
    teacher: nn.Module | None = None,
) -> float:
    """Take the steps of a segment, in place.

    Parameters
    ----------
    model, optimizer
        What is trained, on the task's device.
    task
        Data, loss and recipe.
    segment
        Which steps.
    data_seed
        Seed of the data order and of the noise.
    first
        Steps of the segment that were taken already.
    after_epoch
        Called with the number of steps taken, whenever the data come to an end of an epoch.

    teacher
        A network whose outputs are learned from too, as the recipe's ``distill`` says.

    Returns
    -------
    float
        Mean training loss over the steps in the last epoch; NaN when no step was taken.
    """
    recipe, device = task.recipe, task.device
    per_epoch = steps_per_epoch(recipe, len(task.data.train))
    noise_seed = derive_seed(data_seed, "noise")
    noise = torch.Generator(device)
    stepper = _Stepper(model, optimizer, task, teacher)
    # One block of memory: a small tensor kept from each step would keep the heap from shrinking.
    kind = torch.float32 if device.type == "mps" else torch.float64
    losses, seen = torch.empty(per_epoch, dtype=kind, device=device), 0
    model.train()
    with _own_noise(device) as seed_dropout:
        draws = _draws(task, segment, data_seed, first)
        for step, batch in zip(
            range(first, segment.steps), task.data.train.batches(draws), strict=False
        ):
            epoch, place = divmod(segment.data_step + step, per_epoch)
            if place == 0:
                seen = 0
            seed_dropout(noise_seed + epoch * per_epoch + place)
            noise.manual_seed(noise_seed + epoch * per_epoch + place)
            inputs = augment(task.prepared(batch.inputs, stepper.dtype), recipe, noise)
            targets = batch.targets
            if task.augment is not None:
                inputs, targets = task.augment(inputs, targets)
            losses[seen] = stepper.step(inputs, targets, lr_in(segment, step, recipe, per_epoch))
            seen += 1
            if place == per_epoch - 1 and after_epoch is not None:
                after_epoch(step + 1)
    return float(losses[:seen].double().mean()) if seen else float("nan")


class _Stepper:
    """Takes optimizer steps on batches."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        task: Task,
        teacher: nn.Module | None,
    ) -> None:
        self._model, self._task, self._teacher = model, task, teacher
        self._forward: nn.Module = torch.compile(model) if task.recipe.compile else model  # type: ignore[assignment]
        self._update = make_update(optimizer)
        masked = MaskedLayers(model)
        self._revived = masked if masked.names and not is_entry_by_entry(optimizer) else None
        self.dtype = working_dtype(model)

    def step(self, inputs: Any, targets: Any, lr: float) -> Tensor:
        """Take one step, and return the mean loss of the batch before it."""
        recipe, device = self._task.recipe, self._task.device
        if recipe.amp:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                loss = self._loss(inputs, targets)
        else:
            loss = self._loss(inputs, targets)
        self._update.zero_grad()
        loss.backward()
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), recipe.clip_norm)
        self._update.step(lr)
        if self._revived is not None:
            self._revived.apply()
        return loss.detach()

    def _loss(self, inputs: Any, targets: Any) -> Tensor:
        outputs = self._task.forward(self._forward, inputs)
        loss = self._task.loss(outputs, targets)
        distill = self._task.recipe.distill
        if self._teacher is None or distill is None:
            return loss
        with torch.no_grad():
            taught = self._task.forward(self._teacher, inputs)
        reading = self._task.judge.reading
        distance = distillation(outputs, taught, targets, distill.temperature, reading)
        return (1 - distill.weight) * loss + distill.weight * distance


def _draws(task: Task, segment: Segment, data_seed: int, first: int) -> Iterator[Draw]:
    """The examples of each step that is left, and the seed of what their loading draws."""
    examples, size = len(task.data.train), task.recipe.batch_size
    per_epoch = steps_per_epoch(task.recipe, examples)
    loading_seed = derive_seed(data_seed, "loading")
    order: Tensor | None = None
    for step in range(first, segment.steps):
        epoch, place = divmod(segment.data_step + step, per_epoch)
        if order is None or place == 0:
            order = epoch_order(data_seed, epoch, examples).to(task.device)
        seed = (loading_seed + epoch * per_epoch + place) % 2**63
        yield Draw(order[place * size : (place + 1) * size], seed)


def lr_in(segment: Segment, step: int, recipe: Recipe, per_epoch: int) -> float:
    """Learning rate of a step of a segment.

    Parameters
    ----------
    segment
        The stretch of training.
    step
        Its step, from 0.
    recipe, per_epoch
        Of the dense run.
    """
    if segment.lr_schedule is not None:
        highest = recipe.lr if segment.lr is None else segment.lr
        lr = highest * factor(segment.lr_schedule, recipe, step, segment.steps)
        return risen(lr, step, segment.warmup_steps)
    lr = lr_at(recipe, segment.lr_step + (step if segment.lr_moves else 0), per_epoch)
    if segment.lr is None:
        return lr
    return lr * segment.lr / recipe.lr if segment.lr_moves else segment.lr


def epoch_order(data_seed: int, epoch: int, examples: int) -> Tensor:
    """Order in which an epoch goes through the examples: int64, on the CPU."""
    generator = torch.Generator().manual_seed(derive_seed(data_seed, "order", epoch))
    return torch.randperm(examples, generator=generator)


def samples_in(task: Task, segment: Segment) -> int:
    """Examples seen in a segment, a partial last batch counted for what it holds."""
    examples = len(task.data.train)
    per_epoch = steps_per_epoch(task.recipe, examples)
    per_whole_epoch = min(per_epoch * task.recipe.batch_size, examples)

    def seen_before(step: int) -> int:
        epochs, batches = divmod(step, per_epoch)
        return epochs * per_whole_epoch + batches * task.recipe.batch_size

    return seen_before(segment.data_step + segment.steps) - seen_before(segment.data_step)


@contextmanager
def _own_noise(device: torch.device) -> Iterator[Callable[[int], object]]:
    """Give layers such as dropout generators of our own, and the caller his own back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        if on_gpu:
            index = device.index if device.index is not None else torch.cuda.current_device()
            yield torch.cuda.default_generators[index].manual_seed
        else:
            yield torch.default_generator.manual_seed
