"""A task and its plans tried on a few examples, so that nothing is begun that cannot be ended.

Everything that a study will do is done once: transform, model, loss, metrics, saliency, schedule,
a masked step, a cut, an evaluation. Whatever is wrong is one message that names the part.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.plugins import resolve
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.selection.schedule import SCHEDULES
from study.pruning.training.trajectory import build_model
from study.tasks.data.splits import Draw, Split, few
from study.tasks.data.structures import describe, leaves
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import evaluate, evaluating
from study.tasks.judging.losses import class_weights
from study.tasks.judging.outputs import predictions
from study.tasks.task import Task

EXAMPLES = 32
"""Of each split, or a batch where that is less."""


def rehearse_task(task: Task) -> None:
    """Try a task on a few examples: its model, data, loss and metrics.

    Raises
    ------
    UsageError
        If something is wrong; it names the part.
    """
    model = _model_of(task)
    batch = _loaded(task)
    inputs = _inputs_of(task, model, batch.inputs)
    outputs = _forward(task, model, inputs, batch.inputs)
    _check_loss(task, outputs, batch.targets)
    _check_missing_values(task, model)
    _check_metrics(task, model)
    _check_last_batch(task, model)


def rehearse_plans(task: Task, plans: Iterable[PruningPlan]) -> None:
    """Try plans on a few examples of a task that was tried before.

    Parameters
    ----------
    task
        The task.
    plans
        Between them, every saliency, schedule and way of retraining that will be used. Each is
        tried for one round at half of the weights.

    Raises
    ------
    UsageError
        If something is wrong; it names the part of the plan.
    """
    small = _small(task)
    for plan in plans:
        _check_schedule(plan)
        with _naming(f"a round with saliency {plan.saliency!r}, retrain {plan.retrain!r}"):
            list(run_pipeline(_short(plan), small))


def _model_of(task: Task) -> nn.Module:
    with _naming("model()"):
        model = task.build_model()
    if not isinstance(model, nn.Module):
        raise UsageError(f"task: model() gave {type(model).__name__}, not a torch.nn.Module.")
    if not any(True for _ in model.parameters()):
        raise UsageError("task: model() has no parameters, so there is nothing to prune.")
    return build_model(task, init_seed=0)


def _loaded(task: Task) -> Any:
    """A batch as training gets it, through worker processes if there are any."""
    split = task.data.train
    size = min(EXAMPLES, task.recipe.batch_size)
    with _naming("loading a batch of training examples"):
        return next(iter(split.batches([Draw(few(split, size), seed=0)])))


def _inputs_of(task: Task, model: nn.Module, raw: Any) -> Any:
    with _naming(f"transform on inputs {describe(raw)}"):
        return task.prepared(raw, working_dtype(model))


def _forward(task: Task, model: nn.Module, inputs: Any, raw: Any) -> Any:
    hint = f"model on a batch of {len(leaves(inputs)[0])} inputs, each {describe(inputs)}"
    if describe(raw) != describe(inputs):
        hint += f" (made of {describe(raw)})"
    with _naming(hint), evaluating(model), torch.no_grad():
        return task.forward(model, inputs)


def _check_loss(task: Task, outputs: Any, targets: Any) -> None:
    what = f"loss of outputs {_told(outputs)} and targets {_told(targets)}"
    found = predictions(outputs)
    if isinstance(found, Tensor) and bool(torch.isnan(found).any()):
        raise UsageError(
            "task: a fresh model gives NaN on the first examples; look for NaN in the inputs."
        )
    with _naming(what), warnings.catch_warnings():
        # Sizes that are broadcast against each other: a loss over all pairs, which is never meant.
        warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
        loss = task.loss(outputs, targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UsageError(f"task: {what} must be one number, the mean of the batch; it is {shape}.")
    if not math.isfinite(float(loss)):
        raise UsageError(f"task: {what} is {float(loss)} for a fresh model; it must be finite.")


def _check_missing_values(task: Task, model: nn.Module) -> None:
    """NaN in the inputs is the model's to bear; one that cannot would train to nothing."""
    split = task.data.train
    if not isinstance(split, Split) or split.chosen is not None:
        return
    missing = torch.zeros(len(split), dtype=torch.bool)
    for leaf in leaves(split.inputs):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            missing |= torch.isnan(leaf).flatten(1).any(1).cpu() if leaf.dim() > 1 else leaf.isnan()
    where = missing.nonzero().flatten()
    if not len(where):
        return
    inputs = _inputs_of(task, model, split.take(where[:EXAMPLES]).inputs)
    found = predictions(_forward(task, model, inputs, inputs))
    if isinstance(found, Tensor) and bool(torch.isnan(found).any()):
        raise UsageError(
            f"task: the inputs of {len(where)} training examples hold NaN, first of number "
            f"{int(where[0])}, and so do the model's outputs for them. Fill them in, or leave "
            "these examples out."
        )


def _check_metrics(task: Task, model: nn.Module) -> None:
    """One finite number each, on a few examples or, where these do not do, on the whole split."""
    split = task.data.validation
    part = Split(*split.take(few(split, EXAMPLES)))
    with _naming("metrics"):
        judged = _metrics_of(task, model, part)
        undefined = [name for name, value in judged.items() if not math.isfinite(value)]
        if undefined:
            judged = _metrics_of(task, model, split)
    for name in undefined:
        if not math.isfinite(judged[name]):
            raise UsageError(
                f"metrics: {name} of a fresh model on the validation split is {judged[name]}; it "
                "must be finite. A metric of classes needs each of them among the examples."
            )
    for metric in task.metrics:
        if metric.unit == "share" and not 0 <= judged.get(metric.name, 0) <= 1:
            raise UsageError(
                f"metrics: {metric.name} is {judged[metric.name]:g}, and a share is from 0 to 1."
            )
        if metric.unit == "score" and judged.get(metric.name, 0) > 1:
            raise UsageError(
                f"metrics: {metric.name} is {judged[metric.name]:g}, and a score is at most 1; "
                'say unit="amount" of one that is not.'
            )


def _metrics_of(task: Task, model: nn.Module, split: Any) -> dict[str, float]:
    return dict(evaluate(model, split, task).metrics)


def _check_last_batch(task: Task, model: nn.Module) -> None:
    """A model with batch norm cannot train on one example, which may be all that is left over."""
    examples, size = len(task.data.train), task.recipe.batch_size
    left = examples % size
    if task.recipe.drop_last and examples >= size:
        left = 0
    if left == 0 or left > EXAMPLES:
        return
    batch = task.data.train.take(few(task.data.train, left))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            task.forward(model.train(), task.prepared(batch.inputs, working_dtype(model)))
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise UsageError(
            f"task: the model cannot train on the last batch of an epoch, which has {left} of "
            f"{examples} examples (batch_size {size}): {error} Set drop_last = true, or another "
            "batch_size."
        ) from error


def _check_schedule(plan: PruningPlan) -> None:
    with _naming(f"schedule {plan.schedule!r}"):
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
    """One round of a plan, at half of the weights."""
    sparsity: Any = plan.sparsity
    if isinstance(sparsity, dict):
        sparsity = dict.fromkeys(sparsity, 0.5)
    elif sparsity is not None:
        sparsity = 0.5
    return plan.model_copy(
        update={
            "rounds": 1,
            "schedule": "one_shot",
            "sparsity": sparsity,
            "rewind_epoch": None if plan.rewind_epoch is None else 0.0,
            "retrain_epochs": 1.0,
            "layer_floor": min(plan.layer_floor, 0.5),
        }
    )


def _told(structure: Any) -> str:
    shape = f" ({len(leaves(structure)[0])} of them)" if leaves(structure) else ""
    return describe(structure) + shape


@contextmanager
def _naming(part: str) -> Iterator[None]:
    """Turn whatever goes wrong in a part of a user's into one message that names it."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        told = str(error).strip() or "no message"
        raise UsageError(f"task: {part} raised {type(error).__name__}: {told}") from error
