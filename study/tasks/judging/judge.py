"""By what the networks of a task are judged, where it does not say so itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from study.errors import UsageError
from study.records import LOSS, MetricRecord
from study.tasks.judging.metrics import Metric, metrics_of
from study.tasks.judging.outputs import given, is_one_logit, labelled

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, eq=False)
class Judge:
    """The metrics of a task.

    Parameters
    ----------
    metrics
        The first is the task's quality; there may be none, and then it is the loss.
    threshold
        Output above which a model with one output an element says 1: 0 of a logit, 0.5 of a
        probability.
    """

    metrics: tuple[Metric, ...]
    threshold: float = 0.0

    @property
    def records(self) -> tuple[MetricRecord, ...]:
        """How records describe the metrics, and the loss at their end."""
        return (*(metric.record for metric in self.metrics), LOSS)


def judge_of(metrics: tuple[Metric, ...], loss: Loss | None, outputs: Any, targets: Any) -> Judge:
    """Find out what the outputs of a task mean.

    Without metrics of its own a classifier is judged by accuracy: one that trains by cross
    entropy, or whose targets are classes of its outputs, or whose loss is that of a logit. Nothing
    else has an accuracy: it is judged by its loss.

    Parameters
    ----------
    metrics
        Of the task's own; empty for none.
    loss
        Of the task's own; None for cross entropy.
    outputs, targets
        Of a few examples.
    """
    threshold = 0.0
    one_output = is_one_logit(outputs, targets)
    is_logit = False
    if one_output and loss is not None:
        is_logit = _falls_beyond_its_target(loss, outputs, targets)
        threshold = 0.0 if is_logit else 0.5
    if metrics:
        return Judge(metrics, threshold)
    if is_logit or (not one_output and _has_classes(outputs, targets)):
        return Judge(metrics_of(["accuracy"]), threshold)
    return Judge((), threshold)


def _has_classes(outputs: Any, targets: Any) -> bool:
    try:
        return labelled(outputs, targets).scores.dim() == 2
    except UsageError:
        return False


def _falls_beyond_its_target(loss: Loss, outputs: Any, targets: Any) -> bool:
    """Whether a loss goes on falling as outputs move away to their target's side.

    That of a logit does; a squared error has its least at the target, and a cross entropy of
    probabilities refuses what is outside 0 and 1.
    """
    found = given(outputs)
    if not isinstance(found, Tensor):
        return False
    sides = (2 * targets.to(found.dtype) - 1).reshape(found.shape)
    try:
        near, far = (float(loss(sides * scale, targets)) for scale in (1.0, 3.0))
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False  # it has its say when the loss itself is tried
    return far < near
