"""What a model gives, in the forms that models have, as scores and labels that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from study.errors import UsageError

IGNORED = -100
"""Target of an element that does not count, as in torch's cross entropy: padding."""


class Labelled(NamedTuple):
    """Elements that were classified, whatever the form of the batch.

    ``scores`` are (m, classes), or (m,) where a model has one output for two classes; ``labels``
    are int64, (m,). Elements that do not count are left out.
    """

    scores: Tensor
    labels: Tensor


Form = Literal["classes", "rows", "yes_no", "other"]


class Reading(NamedTuple):
    """How outputs and targets of a task are meant: found out once, as a batch can look otherwise.

    ``form`` says what targets are: integer ``classes``; ``rows`` of probabilities, shaped like the
    outputs; a ``yes_no`` of each output; or ``other``. ``threshold`` is the output above which a
    model with one output an element says yes: 0 of a logit, 0.5 of a probability. ``place`` is
    where the classes are in the outputs, should a batch fit both ways. ``ignored`` is the target of
    elements that do not count, if the loss says another than torch's.
    """

    form: Form = "classes"
    threshold: float = 0.0
    place: int | None = None
    ignored: int = IGNORED


def predictions(outputs: Any) -> Any:
    """The part of a model's outputs that is judged.

    A tensor is itself; of an object or a mapping it is ``logits``, of a tuple the first part.
    """
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, Mapping) and "logits" in outputs:
        return outputs["logits"]
    if hasattr(outputs, "logits"):
        return outputs.logits
    if isinstance(outputs, (tuple, list)) and outputs:
        return predictions(outputs[0])
    return outputs


def given(outputs: Any) -> Any:
    """What a user's own loss or metric sees: the logits of an object that has some, else all."""
    has_logits = hasattr(outputs, "logits") or (
        isinstance(outputs, Mapping) and "logits" in outputs
    )
    return predictions(outputs) if has_logits else outputs


def own_loss_of(outputs: Any) -> Tensor | None:
    """The loss that a model computed itself, as Hugging Face's do when they are given labels."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    return loss if isinstance(loss, Tensor) else None


def class_dimension(outputs: Tensor, targets: Tensor, known: int | None = None) -> int | None:
    """Where the classes of integer targets are in the outputs: 1, -1, or None for nowhere.

    Raises
    ------
    UsageError
        If both places fit: with as many classes as positions, a guess would be right half of the
        time and look right always.
    """
    second, last = _fits(outputs, targets)
    if second and last and outputs.dim() > 2:
        if known is not None:
            return known
        raise UsageError(
            f"loss: outputs {tuple(outputs.shape)} for targets {tuple(targets.shape)} may have "
            "their classes second or last. Say which with a loss and metrics of your own, or "
            "move them with forward=."
        )
    return 1 if second else -1 if last else None


def _fits(outputs: Tensor, targets: Tensor) -> tuple[bool, bool]:
    """Whether the classes of integer targets can be second in the outputs, and last."""
    if targets.is_floating_point() or targets.is_complex() or outputs.dim() != targets.dim() + 1:
        return False, False
    second = outputs.shape[:1] + outputs.shape[2:] == targets.shape
    return second, outputs.shape[:-1] == targets.shape


def as_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Integer targets in int64, and a column of them, (n, 1, ...), without its dimension of one."""
    if targets.is_floating_point() or targets.is_complex():
        return targets
    same = targets.dim() == outputs.dim() > 1
    if same and targets.shape[1] == 1 and outputs.shape[1] > 1:
        targets = targets.squeeze(1)
    return targets.long()


def labelled(outputs: Any, targets: Any, reading: Reading) -> Labelled:
    """Scores and labels, element by element.

    Parameters
    ----------
    outputs
        Of the model: (n, classes), (n, classes, ...), (n, ..., classes), or one logit an element.
    targets
        Classes of the form that is left without the classes; rows of probabilities shaped like
        the outputs; or 0 and 1, one an element.
    reading
        Of the task.

    Raises
    ------
    UsageError
        If they are none of these.
    """
    found = predictions(outputs)
    if not isinstance(found, Tensor) or not isinstance(targets, Tensor):
        raise UsageError(
            f"metrics: a metric of classes needs tensors; the outputs are {type(found).__name__} "
            f"and the targets {type(targets).__name__}. Give a metric of your own."
        )
    targets = counting(as_classes(found, targets), reading.ignored)
    place = class_dimension(found, targets, reading.place)
    if place is not None and found.shape[place] > 1:
        scores = found.movedim(place, -1).flatten(0, -2)
        elements = _counted(scores, targets.flatten())
        _check_classes(elements)
        return elements
    if reading.form == "rows" and found.shape == targets.shape:
        return Labelled(found.movedim(1, -1).flatten(0, -2), targets.argmax(1).flatten())
    if _are_yes_or_no(found, targets):
        return _counted(found.flatten(), targets.flatten().long())
    raise UsageError(
        f"metrics: outputs {tuple(found.shape)} and targets {tuple(targets.shape)} of "
        f"{str(targets.dtype).removeprefix('torch.')} are no classification: neither (n, classes) "
        "scores of integer classes, nor one logit of 0 or 1 an element."
    )


def counting(targets: Tensor, ignored: int) -> Tensor:
    """Integer targets with torch's own mark where they do not count."""
    if ignored == IGNORED or targets.is_floating_point():
        return targets
    return targets.masked_fill(targets == ignored, IGNORED)


def _check_classes(elements: Labelled) -> None:
    if not len(elements.labels):
        return
    least, most = int(elements.labels.min()), int(elements.labels.max())
    if least < 0 or most >= elements.scores.shape[1]:
        raise UsageError(
            f"metrics: targets from {least} to {most} for {elements.scores.shape[1]} classes. If "
            "one of them marks what does not count, use -100, or a loss that says it: "
            "torch.nn.CrossEntropyLoss(ignore_index=...)."
        )


def chances(outputs: Tensor, targets: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """Scores of classes, or logits, as probabilities, and targets as classes; else as they are.

    The dimensions stay. Scores that are probabilities already, which add up to 1, are left alone.
    """
    if not outputs.is_floating_point():
        return outputs, targets
    if reading.form == "yes_no" and outputs.numel() == targets.numel():
        found = outputs.reshape(targets.shape)
        return (torch.sigmoid(found) if reading.threshold == 0 else found), targets.long()
    if reading.form != "classes":
        return outputs, targets
    targets = as_classes(outputs, targets)
    place = class_dimension(outputs, targets, reading.place)
    if place is None:
        return outputs, targets
    sums = outputs.sum(place)
    if bool((outputs >= 0).all()) and bool(torch.isclose(sums, torch.ones_like(sums)).all()):
        return outputs, targets
    return outputs.softmax(place), targets


def form_of(outputs: Any, targets: Any, labels: Any) -> Form:
    """What the targets of a task are.

    Parameters
    ----------
    outputs, targets
        Of a few examples.
    labels
        The targets of all examples, if they are at hand in a tensor: of several labels few may
        happen to have one each, and look like rows of one class.
    """
    found = predictions(outputs)
    if not isinstance(found, Tensor) or not isinstance(targets, Tensor):
        return "other"
    targets = as_classes(found, targets)
    second, last = _fits(found, targets)
    if (second and found.shape[1] > 1) or (last and found.shape[-1] > 1):
        return "classes"
    if found.shape == targets.shape and are_probabilities(
        labels if isinstance(labels, Tensor) else targets
    ):
        return "rows"
    if not _are_yes_or_no(found, targets):
        return "other"
    every = labels if isinstance(labels, Tensor) else targets
    return "yes_no" if _are_all_yes_or_no(every) else "other"


def are_probabilities(targets: Tensor) -> bool:
    """Whether numbers are shares of classes, (n, classes, ...), that add up to 1."""
    if not targets.is_floating_point() or targets.dim() < 2 or targets.shape[1] < 2:
        return False
    if bool((targets < 0).any()):
        return False
    return bool(torch.isclose(targets.sum(1), torch.ones(()).to(targets), atol=1e-4).all())


def _are_yes_or_no(outputs: Tensor, targets: Tensor) -> bool:
    return outputs.numel() == targets.numel() and _are_all_yes_or_no(targets)


def _are_all_yes_or_no(targets: Tensor) -> bool:
    return bool(((targets == 0) | (targets == 1) | (targets == IGNORED)).all())


def _counted(scores: Tensor, labels: Tensor) -> Labelled:
    counts = labels != IGNORED
    return (
        Labelled(scores, labels) if bool(counts.all()) else Labelled(scores[counts], labels[counts])
    )
