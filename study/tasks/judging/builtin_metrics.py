"""The metrics that a task may name: torchmetrics', fed with what they need.

accuracy and top5 are counts of our own and exact: in float32 nine of ten is less than 0.9, and in
that torchmetrics divides counts, so its shares are right to seven digits. Metrics of classes take
scores of any form that :func:`labelled` knows; two classes are a positive one (class 1) and its
rest, more are averaged over the classes (macro), and several labels of an example are one pool of
yes and no. dice and iou pool the elements of all examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from study.errors import UsageError
from study.tasks.judging.outputs import Reading, are_probabilities, labelled, predictions


class Accumulator(Protocol):
    """Takes the batches of a split, and says what a metric is of all of them."""

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        """Take note of a batch of so many examples."""

    def compute(self) -> float:
        """The metric of all that was taken note of; NaN where it is not defined."""


class BuiltIn(NamedTuple):
    """A metric by name; ``start`` makes an accumulator for a task that is read so."""

    start: Callable[[Reading], Accumulator]
    direction: Literal["max", "min"]
    unit: Literal["share", "score", "amount"]


class _Correct:
    """Share of the elements whose class is among the k highest scores."""

    def __init__(self, k: int, reading: Reading) -> None:
        self._k, self._reading = k, reading
        self._hits: Tensor | int = 0
        self._elements = 0

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        scores, labels = labelled(outputs, targets, self._reading)
        if scores.dim() == 1:
            right = ((scores > self._reading.threshold) == labels.bool()) | (self._k > 1)
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
    reading
        Of the task.
    needs_every_class
        Whether it is not defined on a split that lacks one.
    """

    def __init__(self, name: str, reading: Reading, needs_every_class: bool = False) -> None:
        self._name, self._reading = name, reading
        self._needs_every_class = needs_every_class
        self._metric: Any = None
        self._seen: Any = None

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        scores, labels = labelled(outputs, targets, self._reading)
        scores = scores.double()
        if scores.dim() == 2 and scores.shape[1] == 2:
            chances, classes = _squashed(scores[:, 1] - scores[:, 0]), 2
        elif scores.dim() == 1:
            chances, classes = _squashed(scores - self._reading.threshold), 2
        else:
            chances, classes = _squashed(_log_odds(_as_logits(scores))), scores.shape[1]
        if self._metric is None:
            self._metric = self._make(classes).to(scores.device).set_dtype(torch.float64)
            self._seen = torch.zeros(classes, dtype=torch.int64, device=scores.device)
        if not len(labels):
            return  # a batch of padding alone
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


def _as_logits(scores: Tensor) -> Tensor:
    """Of a model that ends in a softmax: a second one would change the order."""
    return scores.log() if are_probabilities(scores) else scores


def _squashed(odds: Tensor) -> Tensor:
    """Into 0 to 1, in the same order: a sigmoid is 1 from 37 on, and ranks would be ties."""
    odds = odds.clamp(-1e9, 1e9)
    return (1 + odds / (1 + odds.abs())) / 2


def _log_odds(scores: Tensor) -> Tensor:
    """Of each class against all others: (m, classes), in the order of the softmax."""
    log_chances = scores.log_softmax(1)
    best = log_chances.argmax(1, keepdim=True)
    # 1 - p rounds to zero for the best class: its others are added up themselves.
    others = log_chances.scatter(1, best, -math.inf).logsumexp(1, keepdim=True)
    rest = (-log_chances.exp()).log1p().scatter(1, best, others)
    return log_chances - rest


class _OfText:
    """Perplexity: exp of the mean cross entropy of the elements that count."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._surprise: Tensor | float = 0.0
        self._elements = 0

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        scores, labels = labelled(outputs, targets, self._reading)
        if scores.dim() == 1:
            raise UsageError("metrics: perplexity needs a score for each class, not one logit.")
        scores = _as_logits(scores.double())
        self._surprise = self._surprise + cross_entropy(scores, labels, reduction="sum")
        self._elements += len(labels)

    def compute(self) -> float:
        if not self._elements:
            return math.nan
        return float(torch.as_tensor(self._surprise / self._elements).exp())


class _OfNumbers:
    """A metric of torchmetrics' regression; several outputs an example count alike."""

    def __init__(self, name: str, at_least: int = 1, **options: Any) -> None:
        import torchmetrics

        made: Any = getattr(torchmetrics, name)(**options)
        self._metric = made.set_dtype(torch.float64)
        self._at_least = at_least
        self._examples = 0

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        found = predictions(outputs)
        both = isinstance(found, Tensor) and isinstance(targets, Tensor)
        if not both or found.squeeze().shape != targets.squeeze().shape:
            shapes = (
                tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                for x in (found, targets)
            )
            raise UsageError(
                "metrics: outputs {} and targets {} differ in shape, so one cannot be subtracted "
                "from the other.".format(*shapes)
            )
        self._metric = self._metric.to(found.device)
        n = len(targets)
        pair = (x.reshape(n, -1).squeeze(1).double() for x in (found, targets))
        self._metric.update(*pair)
        self._examples += n

    def compute(self) -> float:
        return float(self._metric.compute()) if self._examples >= self._at_least else math.nan


BUILT_IN: Mapping[str, BuiltIn] = {
    "accuracy": BuiltIn(partial(_Correct, 1), "max", "share"),
    "top5": BuiltIn(partial(_Correct, 5), "max", "share"),
    "precision": BuiltIn(partial(_OfClasses, "Precision"), "max", "share"),
    "recall": BuiltIn(partial(_OfClasses, "Recall"), "max", "share"),
    "f1": BuiltIn(partial(_OfClasses, "F1Score"), "max", "score"),
    "auroc": BuiltIn(lambda r: _OfClasses("AUROC", r, True), "max", "score"),
    "average_precision": BuiltIn(lambda r: _OfClasses("AveragePrecision", r, True), "max", "score"),
    "dice": BuiltIn(partial(_OfClasses, "F1Score"), "max", "score"),
    "iou": BuiltIn(partial(_OfClasses, "JaccardIndex"), "max", "score"),
    "perplexity": BuiltIn(_OfText, "min", "amount"),
    "r2": BuiltIn(lambda _: _OfNumbers("R2Score", at_least=2), "max", "score"),
    "mse": BuiltIn(lambda _: _OfNumbers("MeanSquaredError"), "min", "amount"),
    "rmse": BuiltIn(lambda _: _OfNumbers("MeanSquaredError", squared=False), "min", "amount"),
    "mae": BuiltIn(lambda _: _OfNumbers("MeanAbsoluteError"), "min", "amount"),
}
"""Metrics by name."""

COUNTS = ("accuracy", "top5")
"""Those that need no torchmetrics."""
