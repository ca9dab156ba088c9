"""How good a model is on a split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.records import LOSS, MetricRecord
from study.tasks.data.splits import Draw, Examples
from study.tasks.forward import working_dtype
from study.tasks.judging.outputs import predictions
from study.tasks.task import Task


@dataclass(frozen=True)
class Evaluation:
    """Figures of a split, all NaN where the model's outputs or its loss are not finite.

    Parameters
    ----------
    loss
        Mean over the examples.
    metrics
        Each of the task's, by name.
    samples
        Examples.
    """

    loss: float
    metrics: Mapping[str, float]
    samples: int

    def value(self, metric: MetricRecord) -> float:
        """One of the figures."""
        return self.loss if metric.name == LOSS.name else self.metrics[metric.name]

    def columns(self, split: str) -> dict[str, float]:
        """Fields of a record: ``{split}_NAME`` of each metric, and of the loss."""
        figures = {**self.metrics, "loss": self.loss}
        return {f"{split}_{name}": value for name, value in figures.items()}


def evaluate(
    model: nn.Module, split: Examples, task: Task, batch_size: int | None = None
) -> Evaluation:
    """Evaluate a model in eval mode, without gradients; its mode is put back afterwards.

    Parameters
    ----------
    model
        On the device of the split.
    split
        Any split: validation for decisions, test once for a report.
    task
        Its forward pass, loss and metrics.
    batch_size
        Examples at a time; None: the recipe's ``eval_batch_size``, else what training takes.
    """
    size = batch_size or eval_size(task)
    judged = {metric.name: metric.start(task.judge.reading) for metric in task.judge.metrics}
    loss, elements, is_finite = 0.0, 0, True
    with evaluating(model), torch.no_grad():
        dtype = working_dtype(model)
        draws = list(in_order(len(split), size))
        for draw, batch in zip(draws, split.batches(draws), strict=True):
            examples = len(draw.examples)
            outputs = task.forward(model, task.prepared(batch.inputs, dtype))
            mean, counted = task.evaluation_loss(outputs, batch.targets, examples)
            if not (is_number(outputs) and math.isfinite(mean)):
                is_finite = False
                break
            loss += mean * counted
            elements += counted
            for accumulator in judged.values():
                accumulator.update(outputs, batch.targets, examples)
    if not is_finite or not elements:
        return Evaluation(math.nan, dict.fromkeys(judged, math.nan), len(split))
    figures = {name: accumulator.compute() for name, accumulator in judged.items()}
    return Evaluation(loss / elements, figures, len(split))


def eval_size(task: Task) -> int:
    """Examples at a time in evaluation: by default what training takes, which is known to fit."""
    return task.recipe.eval_batch_size or task.recipe.batch_size


def in_order(examples: int, size: int) -> Iterator[Draw]:
    """All examples of a split in order, the same however often it is evaluated.

    A last batch of one is joined to the one before: there are models that take no single example.
    """
    begin = 0
    while begin < examples:
        end = begin + size
        if end == examples - 1:
            end = examples
        yield Draw(torch.arange(begin, min(end, examples)), seed=begin)
        begin = end


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each of its modules back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]  # a norm may be frozen
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def is_number(outputs: Any) -> bool:
    """Whether nothing is NaN. Scores of minus infinity are allowed: a class that cannot be."""
    found = predictions(outputs)
    return not isinstance(found, Tensor) or not bool(torch.isnan(found).any())
