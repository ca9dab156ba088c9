"""How good a model is on a split, and how much that hangs on which examples are in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from study.records import LOSS, MetricRecord
from study.tasks.data.splits import Draw, Examples
from study.tasks.data.splitting import SPLIT_SEED
from study.tasks.forward import working_dtype
from study.tasks.judging.builtin_metrics import Accumulator
from study.tasks.judging.evaluation import eval_size, evaluating, in_order, is_number
from study.tasks.task import Task

PARTS = 20
"""Parts of a split that are left out in turn."""


@dataclass(frozen=True)
class Resampled:
    """Figures of a split, and the same without each of its parts.

    Parameters
    ----------
    figures
        Each metric of the task, and ``loss``, by name; all NaN where the model's outputs or its
        loss are not finite.
    without
        Of the study's quality, by name, the figures of the split without its first, second, ...
        part.
    examples
        In the split.
    part_examples
        In each part.
    part_groups
        How many groups of equal size say as much as those of each part; () without groups.
    """

    figures: Mapping[str, float]
    without: Mapping[str, tuple[float, ...]]
    examples: int
    part_examples: tuple[int, ...]
    part_groups: tuple[float, ...] = ()

    def columns(self, split: str) -> dict[str, float]:
        """Fields of a record: ``{split}_NAME`` of each metric, and of the loss."""
        return {f"{split}_{name}": value for name, value in self.figures.items()}


def resample(
    model: nn.Module,
    split: Examples,
    task: Task,
    quality: MetricRecord,
    groups: np.ndarray | None = None,
) -> Resampled:
    """Evaluate a model in eval mode, on a split, and its quality without each of 20 parts of it.

    The parts are drawn once and for all, so that networks can be compared part by part. Leaving
    one out each time (the jackknife) works for every metric, also those that are no mean over
    examples, such as the area under a curve. Each example is passed through the model once.

    Parameters
    ----------
    model
        On the device of the split.
    split
        At least two examples.
    task
        Its forward pass, loss and metrics.
    quality
        The metric, or the loss, that a study is about.
    groups
        Of the examples, shape (n,): whole ones are left out, since their examples stand or fall
        together.

    References
    ----------
    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11: the jackknife.
    """
    parts = parts_of(len(split), groups)
    reading = task.judge.reading
    whole = {metric.name: metric.start(reading) for metric in task.judge.metrics}
    own = [metric for metric in task.judge.metrics if metric.name == quality.name]
    left_out: list[Accumulator] = [metric.start(reading) for _ in parts for metric in own]
    sums, counts = [0.0] * len(parts), [0] * len(parts)
    with evaluating(model), torch.no_grad():
        dtype = working_dtype(model)
        places, draws = zip(*_draws(parts, eval_size(task)), strict=True)
        for place, draw, batch in zip(places, draws, split.batches(draws), strict=True):
            examples = len(draw.examples)
            outputs = task.forward(model, task.prepared(batch.inputs, dtype))
            mean, counted = task.evaluation_loss(outputs, batch.targets, examples)
            if not (is_number(outputs) and math.isfinite(mean)):
                figures = dict.fromkeys([*whole, LOSS.name], math.nan)
                without = [math.nan] * len(parts)
                return _resampled(figures, {quality.name: without}, parts, groups)
            sums[place] += mean * counted
            counts[place] += counted
            others = (each for n, each in enumerate(left_out) if n != place)
            for accumulator in (*whole.values(), *others):
                accumulator.update(outputs, batch.targets, examples)
    figures = {name: accumulator.compute() for name, accumulator in whole.items()}
    total, counted = sum(sums), sum(counts)
    figures[LOSS.name] = total / counted if counted else math.nan
    without = [accumulator.compute() for accumulator in left_out] or [
        (total - part) / (counted - n) if counted > n else math.nan
        for part, n in zip(sums, counts, strict=True)
    ]
    return _resampled(figures, {quality.name: without}, parts, groups)


def _resampled(
    figures: Mapping[str, float],
    without: Mapping[str, Sequence[float]],
    parts: Sequence[Tensor],
    groups: np.ndarray | None,
) -> Resampled:
    sizes = tuple(len(part) for part in parts)
    counts = () if groups is None else tuple(_like_groups(groups[part.numpy()]) for part in parts)
    known = {name: tuple(values) for name, values in without.items()}
    return Resampled(figures, known, sum(sizes), sizes, counts)


def _like_groups(groups: np.ndarray) -> float:
    """Groups of equal size whose mean varies as much as that of these (Kish's effective number)."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def parts_of(examples: int, groups: np.ndarray | None = None) -> list[Tensor]:
    """Which examples are in each part: int64, ascending.

    Parts differ by one example at most; of whole groups they are as alike in size as placing the
    largest first, each where the fewest examples are, makes them.
    """
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    if groups is not None:
        labels, of_example, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        number = min(PARTS, len(labels))
        order = torch.randperm(len(labels), generator=generator).numpy()
        filled, part_of_group = np.zeros(number, np.int64), np.empty(len(labels), np.int64)
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            place = int(filled.argmin())
            part_of_group[group] = place
            filled[place] += sizes[group]
        part = torch.from_numpy(part_of_group[of_example])
        return [(part == place).nonzero().flatten() for place in range(number)]
    number = max(min(PARTS, examples // 2), 1)
    order_of_examples = torch.randperm(examples, generator=generator)
    return [order_of_examples[place::number].sort().values for place in range(number)]


def _draws(parts: list[Tensor], size: int) -> Iterator[tuple[int, Draw]]:
    for place, part in enumerate(parts):
        for draw in in_order(len(part), size):
            yield place, Draw(part[draw.examples], draw.seed)
