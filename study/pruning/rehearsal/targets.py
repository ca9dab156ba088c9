"""Targets that a loss would take for others than are meant."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.rehearsal.naming import naming
from study.tasks.data.structures import leaves
from study.tasks.judging.losses import cross_entropy
from study.tasks.judging.outputs import own_loss_of, predictions
from study.tasks.task import Task


def check_targets(task: Task, inputs: Any, outputs: Any, targets: Any) -> None:
    """Look whether the loss of a batch is of what it seems.

    Raises
    ------
    UsageError
        If the targets are the inputs, the loss that a model computes itself is of other targets,
        or outputs and targets are broadcast against each other.
    """
    found = predictions(outputs)
    if not isinstance(found, Tensor) or not isinstance(targets, Tensor):
        return
    if task.own_loss is not None:
        _check_broadcast(task, outputs, found, targets)
    elif not targets.is_floating_point():
        computed = own_loss_of(outputs)
        if computed is None:
            _check_copied(inputs, targets)
        else:
            _check_loss_of_model(computed, found, targets)


def _check_copied(inputs: Any, targets: Tensor) -> None:
    same = (
        leaf
        for leaf in leaves(inputs)
        if isinstance(leaf, Tensor) and leaf.shape == targets.shape and targets.dim() > 1
    )
    if any(torch.equal(leaf.long(), targets.long()) for leaf in same):
        raise UsageError(
            "task: the targets are the inputs themselves, so the network would learn to copy. "
            "Those of a language model are the next tokens: shift them by one, with -100 at the "
            "end."
        )


def _check_loss_of_model(computed: Tensor, found: Tensor, targets: Tensor) -> None:
    """Of a fresh model all losses are near the logarithm of the classes; only equal is equal."""
    try:
        expected = float(cross_entropy(found, targets))
    except UsageError:
        return
    if not math.isclose(float(computed), expected, rel_tol=1e-4):
        raise UsageError(
            f"task: the model computes a loss of {float(computed):.4g}, and cross entropy of its "
            f"logits and the targets is {expected:.4g}: it counts other targets than the metrics "
            "would, such as shifted ones. Leave the labels out of its inputs, and give the targets "
            "as they are meant, or a loss and metrics of your own."
        )


def _check_broadcast(task: Task, outputs: Any, found: Tensor, targets: Tensor) -> None:
    """A loss over all pairs is the same whichever targets belong to which outputs."""
    turned = targets.roll(1, 0)
    if found.shape == targets.shape or found.numel() != targets.numel():
        return
    if torch.equal(turned, targets) or len(found.unique()) < 2:
        return
    with naming("loss"):
        one, other = (float(task.loss(outputs, each)) for each in (targets, turned))
    if math.isclose(one, other, rel_tol=1e-6):
        raise UsageError(
            f"task: the loss of outputs {tuple(found.shape)} and targets {tuple(targets.shape)} is "
            "the same whichever targets belong to which outputs: one is broadcast against the "
            "other. Give both the same shape."
        )
