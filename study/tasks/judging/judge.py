"""By what the networks of a task are judged, where it does not say so itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.records import LOSS, MetricRecord
from study.tasks.data.structures import joined, leaves
from study.tasks.judging.metrics import Metric, metrics_of
from study.tasks.judging.outputs import (
    IGNORED,
    Reading,
    as_classes,
    class_dimension,
    counting,
    form_of,
    given,
    labelled,
    own_loss_of,
    predictions,
)

Loss = Callable[[Any, Any], Tensor]

_HAS_ITS_SAY_LATER = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""What a loss may raise for outputs that are made up; it is tried on real ones soon."""


@dataclass(frozen=True, eq=False)
class Judge:
    """The metrics of a task.

    Parameters
    ----------
    metrics
        The first is the task's quality; there may be none, and then it is the loss.
    reading
        What its outputs and targets mean.
    """

    metrics: tuple[Metric, ...]
    reading: Reading

    @property
    def records(self) -> tuple[MetricRecord, ...]:
        """How records describe the metrics, and the loss at their end."""
        return (*(metric.record for metric in self.metrics), LOSS)


def judge_of(
    metrics: tuple[Metric, ...], loss: Loss | None, outputs: Any, targets: Any, labels: Any
) -> Judge:
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
    labels
        The targets of all examples, if they are at hand in a tensor.

    Raises
    ------
    UsageError
        If cross entropy would take several labels of an example for one, or a loss is a sum.
    """
    if loss is not None and _is_a_sum(loss, given(outputs), targets):
        raise UsageError(
            "loss: twice the examples give twice the loss, so it is a sum; give the mean over a "
            'batch (reduction="mean"), or figures would hang on the size of batches.'
        )
    ignored = _ignored_by(loss)
    if isinstance(targets, Tensor):
        targets = counting(targets, ignored)
    if isinstance(labels, Tensor):
        labels = counting(labels, ignored)
    form = form_of(outputs, targets, labels)
    if loss is None and form != "rows" and _look_like_rows(outputs, targets):
        raise UsageError(
            f"loss: targets of shape {tuple(targets.shape)} are no probabilities that add up to 1, "
            "and cross entropy would take them for such. Give a loss of your own: of several "
            "labels torch.nn.functional.binary_cross_entropy_with_logits, of numbers mse_loss."
        )
    is_logit = (
        form == "yes_no" and loss is not None and _falls_beyond_its_target(loss, outputs, targets)
    )
    threshold = 0.5 if form == "yes_no" and not is_logit else 0.0
    reading = Reading(form, threshold, _place_of_classes(outputs, targets), ignored)
    if metrics:
        return Judge(metrics, reading)
    are_classes = form in ("classes", "rows") and _has_classes(outputs, targets, reading)
    if form == "classes" and loss is not None:
        are_classes = are_classes and _rewards_the_class(loss, outputs, targets, labels, ignored)
    if is_logit or are_classes:
        return Judge(metrics_of(["accuracy"]), reading)
    return Judge((), reading)


def _ignored_by(loss: Any) -> int:
    """What a loss of torch's, or a partial of one, leaves out."""
    said = getattr(loss, "ignore_index", None)
    if said is None and isinstance(loss, partial):
        said = loss.keywords.get("ignore_index")
    return said if isinstance(said, int) else IGNORED


def _place_of_classes(outputs: Any, targets: Any) -> int | None:
    found = predictions(outputs)
    if not isinstance(found, Tensor) or not isinstance(targets, Tensor):
        return None
    try:
        return class_dimension(found, as_classes(found, targets))
    except UsageError:
        return None  # both fit in every batch: who needs to know will say so


def _is_a_sum(loss: Loss, outputs: Any, targets: Any) -> bool:
    examples = [len(leaf) for leaf in leaves(targets)[:1]] * 2
    try:
        twice = (joined([part, part], examples) for part in (outputs, targets))
        once, of_twice = float(loss(outputs, targets)), float(loss(*twice))
    except _HAS_ITS_SAY_LATER:
        return False
    return once != 0 and math.isclose(of_twice, 2 * once, rel_tol=1e-4)


def _look_like_rows(outputs: Any, targets: Any) -> bool:
    found = predictions(outputs)
    if own_loss_of(outputs) is not None or not isinstance(found, Tensor):
        return False
    same = isinstance(targets, Tensor) and targets.is_floating_point()
    return same and found.shape == targets.shape and found.dim() > 1 and found.shape[1] > 1


def _has_classes(outputs: Any, targets: Any, reading: Reading) -> bool:
    try:
        labelled(outputs, targets, reading)
    except UsageError:
        return False
    return True


def _falls_beyond_its_target(loss: Loss, outputs: Any, targets: Any) -> bool:
    """Whether a loss goes on falling as outputs move away to their target's side.

    That of a logit does; a squared error has its least at the target, and a cross entropy of
    probabilities refuses what is outside 0 and 1. A Dice loss of probabilities gives a number
    there too, but none that is better than that of the target itself or it is below zero.
    """
    found = given(outputs)
    if not isinstance(found, Tensor):
        return False
    yes = (targets == 1).to(found.dtype).reshape(found.shape)
    tried = (yes, (2 * yes - 1) / 4, 2 * yes - 1, 3 * (2 * yes - 1))
    try:
        at_target, near, far, farther = (float(loss(outputs, targets)) for outputs in tried)
    except _HAS_ITS_SAY_LATER:
        return False
    is_outside = bool(((found < 0) | (found > 1)).any())
    # Where outputs are cut off at 0 and 1, far is as good as the target itself, and no better.
    falls = far < at_target - _LEAST * abs(at_target)
    falls_on = far <= at_target and farther < far - _LEAST * abs(far)
    lowest = far if falls else farther
    return far < near and (falls or falls_on) and (lowest >= 0 or is_outside)


_LEAST = 1e-3
"""Share of a loss by which one is lower than another, rounding aside."""


def _rewards_the_class(loss: Loss, outputs: Any, targets: Any, labels: Any, ignored: int) -> bool:
    """Whether a loss falls as the score of each element's class rises above the others.

    Integer targets of a regression, of embeddings or of quantiles have outputs of the same form,
    and an argmax of those means nothing.
    """
    found = given(outputs)
    if not isinstance(found, Tensor):
        return False
    classes = as_classes(found, targets)
    place = class_dimension(found, classes)
    if place is None:
        return False
    known = classes if not isinstance(labels, Tensor) else as_classes(found, labels)
    count = found.shape[place]
    counted = known[known != IGNORED]
    if bool((counted >= count).any()) or bool((counted < 0).any()):
        return False
    right = classes.clamp(0, count - 1)

    def scores(of: Tensor, height: float) -> Tensor:
        return (functional.one_hot(of, count).to(found.dtype) * height).movedim(-1, place)

    try:
        meant = targets if ignored == IGNORED else targets.masked_fill(targets == IGNORED, ignored)
        low, high, wrong = (
            float(loss(made, meant))
            for made in (scores(right, 0.25), scores(right, 4.0), scores((right + 1) % count, 4.0))
        )
    except _HAS_ITS_SAY_LATER:
        return False
    return high < low and high < wrong - _LEAST * abs(wrong)
