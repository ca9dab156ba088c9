"""What training makes small: cross entropy of classes in any form, distance from a teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.tasks.data.splits import Examples, Split
from study.tasks.judging.outputs import IGNORED, class_dimension, is_one_logit, predictions


def cross_entropy(
    outputs: Any,
    targets: Any,
    *,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
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
        raise UsageError(
            f"loss: cross entropy needs a score for each class; the model gives "
            f"{tuple(found.shape)}, one number an example. Give a loss of your own, such as "
            "torch.nn.functional.binary_cross_entropy_with_logits, or one of a regression."
        )
    if targets.dim() == 2 and targets.shape[1] == 1 and not targets.is_floating_point():
        targets = targets.squeeze(1)
    place = class_dimension(found, targets)
    if place == -1 and found.dim() > 2:
        found = found.movedim(-1, 1)
    return functional.cross_entropy(
        found,
        targets,
        weight=weights,
        label_smoothing=label_smoothing,
        ignore_index=IGNORED,
    )


def counted(targets: Any) -> int:
    """Elements of a batch that a mean of cross entropy is over."""
    if targets.is_floating_point():
        return len(targets)
    return int((targets != IGNORED).sum())


def distillation(outputs: Any, teacher: Any, targets: Any, temperature: float) -> Tensor:
    """How far outputs are from those of a teacher.

    Of classes, the divergence of the softened distributions times the temperature squared; of one
    logit an element, the same for two classes; else the mean squared difference.

    References
    ----------
    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    ours, theirs = predictions(outputs), predictions(teacher)
    if is_one_logit(outputs, targets):
        zeros = torch.zeros_like(ours)
        ours, theirs = torch.stack([zeros, ours], -1), torch.stack([zeros, theirs], -1)
        place = -1
    else:
        found = class_dimension(ours, targets)
        is_rows = targets.is_floating_point() and targets.dim() == 2 and targets.shape[1] > 1
        if found is None and not is_rows:
            return functional.mse_loss(ours, theirs)
        place = 1 if found is None else found
    ours, theirs = (
        functional.log_softmax(x.movedim(place, -1).flatten(0, -2) / temperature, 1)
        for x in (ours, theirs)
    )
    divergence = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return divergence * temperature**2


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
    counts = targets[targets != IGNORED].flatten().bincount().double()
    return (counts.sum() / (len(counts) * counts.clamp_min(1))).float().to(device)
