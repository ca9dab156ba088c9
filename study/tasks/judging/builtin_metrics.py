"""The metrics that a task may name: torchmetrics', fed with what they need, in float64.

accuracy and top5 are counts of our own and exact: in float32 nine of ten is less than 0.9. Metrics
of classes take scores of any form that :func:`labelled` knows; two classes are a positive one
(class 1) and its rest, more are averaged over the classes (macro). dice and iou pool the elements
of all examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from study.errors import UsageError
from study.tasks.judging.outputs import labelled, predictions


class Accumulator(Protocol):
    """Takes the batches of a split, and says what a metric is of all of them."""

    def update(self, outputs: Any, targets: Any) -> None:
        """Take note of a batch."""

    def compute(self) -> float:
        """The metric of all that was taken note of; NaN where it is not defined."""


class BuiltIn(NamedTuple):
    """A metric by name.

    ``start`` makes an accumulator; it is given the output above which a model with one output an
    element says 1.
    """

    start: Callable[[float], Accumulator]
    direction: Literal["max", "min"]
    unit: Literal["share", "score", "amount"]


class _Correct:
    """Share of the elements whose class is among the k highest scores."""

    def __init__(self, k: int, threshold: float) -> None:
        self._k, self._threshold = k, threshold
        self._hits: Tensor | int = 0
        self._elements = 0

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = labelled(outputs, targets)
        if scores.dim() == 1:
            right = (scores > self._threshold) == labels.bool()
        elif self._k == 1:
            right = scores.argmax(1) == labels
        else:
            highest = scores.topk(min(self._k, scores.shape[1]), dim=1).indices
            right = (highest == labels[:, None]).any(1)
        self._hits = self._hits + right.sum()
        self._elements += len(labels)

    def compute(self) -> float:
        return float(self._hits) / self._elements if self._elements else math.nan


class _OfClasses:
    """A metric of torchmetrics' classification, binary or of several classes.

    Parameters
    ----------
    name
        Of its class, without ``Binary`` or ``Multiclass``.
    threshold
        Output above which one output an element says 1.
    needs_every_class
        Whether it is not defined on a split that lacks one.
    """

    def __init__(self, name: str, threshold: float, needs_every_class: bool = False) -> None:
        self._name, self._threshold = name, threshold
        self._needs_every_class = needs_every_class
        self._metric: Any = None
        self._seen: Any = None

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = labelled(outputs, targets)
        scores = scores.double()  # a sigmoid in float32 is 1 from 17 on: ranks would be ties
        if scores.dim() == 2 and scores.shape[1] == 2:
            chances, classes = torch.sigmoid(scores[:, 1] - scores[:, 0]), 2
        elif scores.dim() == 1:
            chances, classes = torch.sigmoid(scores - self._threshold), 2
        else:
            chances, classes = scores.softmax(1), scores.shape[1]
        if self._metric is None:
            self._metric = self._make(classes).to(scores.device).set_dtype(torch.float64)
            self._seen = torch.zeros(classes, dtype=torch.int64, device=scores.device)
        self._metric.update(chances, labels)
        self._seen += labels.bincount(minlength=classes)

    def compute(self) -> float:
        if self._seen is None or (self._needs_every_class and bool((self._seen == 0).any())):
            return math.nan
        return float(self._metric.compute())

    def _make(self, classes: int) -> Any:
        from torchmetrics import classification

        if classes == 2:
            return getattr(classification, f"Binary{self._name}")()
        return getattr(classification, f"Multiclass{self._name}")(classes, average="macro")


class _OfText:
    """Perplexity: exp of the mean cross entropy of the elements that count."""

    def __init__(self, _threshold: float) -> None:
        from torchmetrics.text import Perplexity

        self._metric: Any = Perplexity().set_dtype(torch.float64)
        self._elements = 0

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = labelled(outputs, targets)
        self._metric = self._metric.to(scores.device)
        self._metric.update(scores[None].double(), labels[None])
        self._elements += len(labels)

    def compute(self) -> float:
        return float(self._metric.compute()) if self._elements else math.nan


class _OfNumbers:
    """A metric of torchmetrics' regression; several outputs an example count alike."""

    def __init__(self, name: str, **options: Any) -> None:
        import torchmetrics

        made: Any = getattr(torchmetrics, name)(**options)
        self._metric = made.set_dtype(torch.float64)
        self._examples = 0

    def update(self, outputs: Any, targets: Any) -> None:
        found = predictions(outputs)
        if not isinstance(found, Tensor) or found.numel() != targets.numel():
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(
                f"metrics: outputs {shape} and targets {tuple(targets.shape)} differ in size, so "
                "one cannot be subtracted from the other."
            )
        self._metric = self._metric.to(found.device)
        n = len(targets)
        pair = (x.reshape(n, -1).squeeze(1).double() for x in (found, targets))
        self._metric.update(*pair)
        self._examples += n

    def compute(self) -> float:
        return float(self._metric.compute()) if self._examples > 1 else math.nan


BUILT_IN: Mapping[str, BuiltIn] = {
    "accuracy": BuiltIn(lambda t: _Correct(1, t), "max", "share"),
    "top5": BuiltIn(lambda t: _Correct(5, t), "max", "share"),
    "precision": BuiltIn(lambda t: _OfClasses("Precision", t), "max", "share"),
    "recall": BuiltIn(lambda t: _OfClasses("Recall", t), "max", "share"),
    "f1": BuiltIn(lambda t: _OfClasses("F1Score", t), "max", "score"),
    "auroc": BuiltIn(lambda t: _OfClasses("AUROC", t, True), "max", "score"),
    "average_precision": BuiltIn(lambda t: _OfClasses("AveragePrecision", t, True), "max", "score"),
    "dice": BuiltIn(lambda t: _OfClasses("F1Score", t), "max", "score"),
    "iou": BuiltIn(lambda t: _OfClasses("JaccardIndex", t), "max", "score"),
    "perplexity": BuiltIn(_OfText, "min", "amount"),
    "r2": BuiltIn(lambda _: _OfNumbers("R2Score"), "max", "score"),
    "mse": BuiltIn(lambda _: _OfNumbers("MeanSquaredError"), "min", "amount"),
    "rmse": BuiltIn(lambda _: _OfNumbers("MeanSquaredError", squared=False), "min", "amount"),
    "mae": BuiltIn(lambda _: _OfNumbers("MeanAbsoluteError"), "min", "amount"),
}
"""Metrics by name."""
