"""Transform, model, loss, metrics and an evaluation, once on a few examples."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.rehearsal.data import EXAMPLES, check_data
from study.pruning.rehearsal.naming import naming
from study.pruning.rehearsal.targets import check_targets
from study.pruning.training.trajectory import build_model
from study.tasks.data.splits import Draw, Examples, Split, few
from study.tasks.data.structures import describe, leaves
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import evaluate, evaluating
from study.tasks.judging.outputs import predictions
from study.tasks.task import Task
from study.tasks.training.learning_rate import factor
from study.tasks.training.recipe import steps_per_epoch


def rehearse_task(task: Task) -> None:
    """Try a task on a few examples: its model, data, loss and metrics.

    Raises
    ------
    UsageError
        If something is wrong; it names the part.
    """
    with torch.random.fork_rng(devices=[]):
        _rehearse(task)


def _rehearse(task: Task) -> None:
    model = _model_of(task)
    batch = _loaded(task)
    inputs = _inputs_of(task, model, batch.inputs)
    outputs = _forward(task, model, inputs, batch.inputs)
    check_data(task, model)
    _check_loss(task, outputs, batch.targets)
    check_targets(task, inputs, outputs, batch.targets)
    _check_augment(task, inputs, batch.targets)
    _check_courses(task)
    _check_metrics(task, model)
    _check_last_batch(task, model)


def _model_of(task: Task) -> nn.Module:
    with naming("model()"):
        model = task.build_model()
    if not isinstance(model, nn.Module):
        raise UsageError(f"task: model() gave {type(model).__name__}, not a torch.nn.Module.")
    if not any(True for _ in model.parameters()):
        raise UsageError("task: model() has no parameters, so there is nothing to prune.")
    with naming("model()"):
        if task.build_model() is model:
            raise UsageError(
                "task: model() gives the same network each time it is called; let it build a new "
                "one."
            )
        return build_model(task, init_seed=0)


def _loaded(task: Task) -> Any:
    """A batch as training gets it, through worker processes if there are any."""
    split = task.data.train
    size = min(EXAMPLES, task.recipe.batch_size)
    with naming("loading a batch of training examples"):
        return next(iter(split.batches([Draw(few(split, size), seed=0)])))


def _inputs_of(task: Task, model: nn.Module, raw: Any) -> Any:
    with naming(f"transform on inputs {describe(raw)}"):
        return task.prepared(raw, working_dtype(model))


def _forward(task: Task, model: nn.Module, inputs: Any, raw: Any) -> Any:
    hint = f"model on a batch of {len(leaves(inputs)[0])} inputs, each {describe(inputs)}"
    if describe(raw) != describe(inputs):
        hint += f" (made of {describe(raw)})"
    with naming(hint), evaluating(model), torch.no_grad():
        return task.forward(model, inputs)


def _check_loss(task: Task, outputs: Any, targets: Any) -> None:
    what = f"loss of outputs {_told(outputs)} and targets {_told(targets)}"
    found = predictions(outputs)
    if isinstance(found, Tensor) and bool(torch.isnan(found).any()):
        raise UsageError(
            "task: a fresh model gives NaN on the first examples; look for NaN in the inputs."
        )
    with naming(what), warnings.catch_warnings():
        # Sizes that are broadcast against each other: a loss over all pairs, which is never meant.
        warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
        loss = task.loss(outputs, targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UsageError(f"task: {what} must be one number, the mean of the batch; it is {shape}.")
    if not math.isfinite(float(loss)):
        raise UsageError(f"task: {what} is {float(loss)} for a fresh model; it must be finite.")


def _check_augment(task: Task, inputs: Any, targets: Any) -> None:
    if task.augment is None:
        return
    with naming("augment"):
        found = task.augment(inputs, targets)
    if not isinstance(found, tuple) or len(found) != 2:
        raise UsageError(
            f"task: augment gave {describe(found)}; it must give two, the inputs and the targets."
        )


def _check_courses(task: Task) -> None:
    """An own course of the learning rate, over all of its length."""
    steps = task.recipe.epochs * steps_per_epoch(task.recipe, len(task.data.train))
    if ":" not in task.recipe.lr_schedule or not steps:
        return
    with naming(f"lr_schedule {task.recipe.lr_schedule!r}"):
        for step in sorted({*range(0, steps, max(1, steps // 1000)), steps - 1}):
            factor(task.recipe.lr_schedule, task.recipe, step, steps)


def _check_metrics(task: Task, model: nn.Module) -> None:
    """One finite number each, on all examples that choose or confirm."""
    _check_metrics_on("validation split", task.data.validation, task, model)
    if task.data.confirmation is not None:
        name = "examples that are held back from it to confirm (confirm.held_back)"
        _check_metrics_on(name, task.data.confirmation, task, model)


def _check_metrics_on(name_of_split: str, split: Examples, task: Task, model: nn.Module) -> None:
    """On a few examples or, where these do not do, on the whole split."""
    part = Split(*split.take(few(split, EXAMPLES)))
    _check_each_metric(task, model, part)
    with naming("metrics"):
        judged = _metrics_of(task, model, part)
        undefined = [name for name, value in judged.items() if not math.isfinite(value)]
        if undefined:
            judged = _metrics_of(task, model, split)
    for name in undefined:
        if not math.isfinite(judged[name]):
            raise UsageError(
                f"metrics: {name} of a fresh model on the {name_of_split} is {judged[name]}; it "
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


def _check_each_metric(task: Task, model: nn.Module, part: Split) -> None:
    """One after the other: in an evaluation nobody could say which of them failed."""
    with naming("metrics"):
        judge = task.judge
    with naming("model on validation examples"), evaluating(model), torch.no_grad():
        outputs = task.forward(model, task.prepared(part.inputs, working_dtype(model)))
    for metric in judge.metrics:
        with naming(f"metric {metric.name}"):
            accumulator = metric.start(judge.reading)
            accumulator.update(outputs, part.targets, len(part))
            accumulator.compute()


def _metrics_of(task: Task, model: nn.Module, split: Any) -> dict[str, float]:
    return dict(evaluate(model, split, task).metrics)


def _check_last_batch(task: Task, model: nn.Module) -> None:
    """A model with batch norm cannot train on one example, which may be all that is left over."""
    examples, size = len(task.data.train), task.recipe.batch_size
    left = 1 if size == 1 else examples % size
    if task.recipe.drop_last and examples >= size > 1:
        left = 0
    if left == 0 or left > EXAMPLES:
        return
    batch = task.data.train.take(few(task.data.train, left))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            task.forward(model.train(), task.prepared(batch.inputs, working_dtype(model)))
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise UsageError(
            f"task: the model cannot train on a batch of {left}, which the last of an epoch is "
            f"({examples} examples, batch_size {size}): {error} Set drop_last = true, or another "
            "batch_size."
        ) from error


def _told(structure: Any) -> str:
    found = predictions(structure)
    first = next((leaf for leaf in leaves(found) if leaf.ndim), None)
    return describe(found) + ("" if first is None else f" ({len(first)} of them)")
