"""Training as a pure function of (weights, masks, optimizer state, position).

Which examples make up a step, and what noise augmentation and dropout draw in it, follows from
the data seed and the step's number alone. So a state needs no random generator in it, and
training that is cut anywhere goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.pruning.seeds import derive_seed
from study.pruning.training.model_state import copy_state, put_state
from study.pruning.training.updates import Update
from study.tasks.augmentation import augment
from study.tasks.recipe import lr_at, steps_per_epoch
from study.tasks.task import Task


@dataclass(frozen=True, eq=False)
class TrainState:
    """All that training changes, on the CPU.

    Parameters
    ----------
    model
        The complete ``state_dict``: weights, biases, norms and their statistics, masks, and what
        modules give as extra state, which may be no tensor.
    optimizer
        The optimizer's tensors, as ``"slot/parameter"``.
    """

    model: Mapping[str, Any]
    optimizer: Mapping[str, Tensor]


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
    """

    steps: int
    lr_step: int
    lr_moves: bool
    data_step: int


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    segment: Segment,
    data_seed: int,
    first: int = 0,
    after_epoch: Callable[[int], None] | None = None,
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

    Returns
    -------
    float
        Mean training loss over the steps in the last epoch; NaN when no step was taken.
    """
    recipe, device = task.recipe, task.device
    train_split = task.data.train
    examples, per_epoch = len(train_split), steps_per_epoch(task.recipe, len(train_split))
    noise_seed = derive_seed(data_seed, "noise")
    noise = torch.Generator(device)
    update = Update(optimizer)
    losses: list[Tensor] = []
    order: Tensor | None = None
    model.train()
    forward = torch.compile(model) if recipe.compile else model
    with _own_noise(device) as seed_dropout:
        for step in range(first, segment.steps):
            epoch, batch = divmod(segment.data_step + step, per_epoch)
            if order is None or batch == 0:
                order = epoch_order(data_seed, epoch, examples).to(device)
                losses = []
            seed_dropout(noise_seed + epoch * per_epoch + batch)
            noise.manual_seed(noise_seed + epoch * per_epoch + batch)
            lr = lr_at(recipe, segment.lr_step + (step if segment.lr_moves else 0), per_epoch)
            index = order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
            # index_select copies whole examples; inputs[index] would go element by element.
            inputs = augment(train_split.inputs.index_select(0, index), recipe, noise)
            targets = train_split.targets.index_select(0, index)
            losses.append(_step(model, forward, update, lr, task, inputs, targets))
            if batch == per_epoch - 1 and after_epoch is not None:
                after_epoch(step + 1)
    if not losses:
        return float("nan")
    return float(torch.stack(losses).double().mean())


def _step(
    model: nn.Module,
    forward: Callable[[Tensor], Tensor],
    update: Update,
    lr: float,
    task: Task,
    inputs: Tensor,
    targets: Tensor,
) -> Tensor:
    if task.recipe.amp and inputs.is_cuda:
        with torch.autocast(task.device.type, dtype=torch.bfloat16):
            loss = task.loss(forward(inputs), targets)
    else:
        loss = task.loss(forward(inputs), targets)
    update.zero_grad()
    loss.backward()
    if task.recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), task.recipe.clip_norm)
    update.step(lr)
    return loss.detach()


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


def capture(model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState:
    """Copy the state of training: later steps do not change it."""
    names: dict[Tensor, str] = {weight: name for name, weight in model.named_parameters()}
    return TrainState(
        copy_state(model),
        {
            f"{slot}/{names[parameter]}": value.detach().cpu().clone()
            for parameter, slots in optimizer.state.items()
            for slot, value in slots.items()
            if isinstance(value, Tensor)
        },
    )


def load_model(model: nn.Module, state: TrainState) -> None:
    """Copy a state into a model. Masks that the state does not know stay as they are."""
    put_state(model, state.model)


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, state: TrainState) -> None:
    """Copy the optimizer's part of a state into an optimizer over the model's parameters."""
    slots: dict[int, dict[str, Tensor]] = {}
    parameters = dict(model.named_parameters())
    index_of = {name: index for index, name in enumerate(parameters)}
    for key, value in state.optimizer.items():
        slot, _, name = key.partition("/")
        slots.setdefault(index_of[name], {})[slot] = _laid_out_like(parameters[name], value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy whose elements lie in memory as the parameter's do: fused kernels go by that."""
    if value.shape != parameter.shape:
        return value.clone()  # such as Adam's step
    return torch.empty_like(parameter, dtype=value.dtype).detach().copy_(value)


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
