"""What training makes small: cross entropy of classes in any form, distance from a teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.tasks.data.splits import Examples, Split
from study.tasks.judging.outputs import IGNORED, Reading, as_classes, class_dimension, predictions


def cross_entropy(
    outputs: Any,
    targets: Any,
    *,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    place: int | None = None,
) -> Tensor:
    """Mean cross entropy over the elements that count.

    Parameters
    ----------
    outputs
        (n, classes), (n, classes, ...) or (n, ..., classes); or an object with such logits.
    targets
        Classes, or rows of probabilities shaped like the outputs. A column of classes is taken for
        a row.
    weights
        Of the classes.
    label_smoothing
        Share of each target spread over all classes.
    place
        Where the classes are, should these outputs fit both ways.

    Raises
    ------
    UsageError
        If there are no classes in outputs and targets.
    """
    found = predictions(outputs)
    if not isinstance(found, Tensor) or not isinstance(targets, Tensor):
        raise UsageError(
            f"loss: cross entropy needs tensors; the model gave {type(found).__name__} for targets "
            f"of {type(targets).__name__}. Give a loss of your own."
        )
    if found.dim() < 2 or found.numel() == targets.numel() == len(targets):
        raise _one_score(found)
    targets = as_classes(found, targets)
    place = class_dimension(found, targets, place)
    if place is None and (not targets.is_floating_point() or targets.shape != found.shape):
        raise UsageError(
            f"loss: the model gives {tuple(found.shape)}, and targets {tuple(targets.shape)} of "
            f"{str(targets.dtype).removeprefix('torch.')} are neither classes of it nor rows of "
            "probabilities. Give a loss of your own."
        )
    if place == -1 and found.dim() > 2:
        found = found.movedim(-1, 1)
    if found.shape[1] == 1:
        raise _one_score(found)
    if weights is not None and len(weights) != found.shape[1]:
        raise UsageError(
            f"task.class_weights: {len(weights)} weights for {found.shape[1]} classes; give one "
            "for each score of the model."
        )
    return functional.cross_entropy(
        found,
        targets,
        weight=weights,
        label_smoothing=label_smoothing,
        ignore_index=IGNORED,
    )


def _one_score(found: Tensor) -> UsageError:
    return UsageError(
        f"loss: cross entropy needs a score for each class; the model gives {tuple(found.shape)}, "
        "one number an example or element. Give a loss of your own, such as "
        "torch.nn.functional.binary_cross_entropy_with_logits, or one of a regression."
    )


def counted(targets: Any) -> int:
    """Elements of a batch that a mean of cross entropy is over."""
    if targets.is_floating_point():
        return int(targets.numel() // targets.shape[1])
    return int((targets.long() != IGNORED).sum())  # -100 as a byte is 156, a class


def distillation(
    outputs: Any,
    teacher: Any,
    targets: Any,
    temperature: float,
    reading: Reading,
) -> Tensor:
    """How far outputs are from those of a teacher.

    Of classes, the divergence of the softened distributions times the temperature squared, a mean
    over the elements that count; of one logit an element, the same for two classes; else the mean
    squared difference.

    Parameters
    ----------
    outputs, teacher
        Of a batch.
    targets
        Of it: which elements count, and where the classes are.
    temperature
        By which scores are divided.
    reading
        What outputs and targets of the task mean.

    References
    ----------
    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    ours, theirs = predictions(outputs), predictions(teacher)
    form = reading.form
    if form == "other":
        return functional.mse_loss(ours, theirs)
    if form == "yes_no":
        if reading.threshold > 0:
            ours, theirs = (torch.logit(x, eps=1e-6) for x in (ours, theirs))
        counts = targets.flatten() != IGNORED
        ours, theirs = (torch.stack([torch.zeros_like(x), x], -1) for x in (ours, theirs))
        place = -1
    elif form == "rows":
        counts = torch.ones((), dtype=torch.bool, device=ours.device)
        place = 1
    else:
        targets = as_classes(ours, targets)
        counts = targets.flatten() != IGNORED
        place = class_dimension(ours, targets, reading.place) or 1
    ours, theirs = (
        functional.log_softmax(x.movedim(place, -1).flatten(0, -2) / temperature, 1)
        for x in (ours, theirs)
    )
    of_each = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
    counts = counts.expand_as(of_each)
    mean: Tensor = (of_each * counts).sum() / counts.sum().clamp_min(1)
    return mean * temperature**2


def class_weights(
    wanted: tuple[float, ...] | str | None, train: Examples, device: torch.device
) -> Tensor | None:
    """Weights of the classes in cross entropy: float32, shape (classes,); None for none.

    Parameters
    ----------
    wanted
        The weights; or ``"balanced"``: examples / (classes * examples of the class), of the
        training split.
    train
        The training split.
    device
        Where they are used.

    Raises
    ------
    UsageError
        If they are to be balanced, and the targets in memory are no classes.
    """
    if wanted is None:
        return None
    if not isinstance(wanted, str):
        return torch.tensor(wanted, dtype=torch.float32, device=device)
    targets = train.labels if isinstance(train, Split) else None
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        raise UsageError(
            "task.class_weights: balanced needs integer classes in memory; give the weights as a "
            "list."
        )
    labels = targets.flatten().long()
    counts = labels[labels != IGNORED].bincount().double()
    return (counts.sum() / (len(counts) * counts.clamp_min(1))).float().to(device)
