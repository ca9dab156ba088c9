"""Optimizers: by name with fused kernels, or any class by import string."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from study.errors import UsageError
from study.plugins import import_string
from study.tasks.training.recipe import Recipe

BY_NAME = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

ENTRY_BY_ENTRY = (
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad,
    torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adamax, torch.optim.Adadelta,
    torch.optim.ASGD, torch.optim.Rprop,
)  # fmt: skip
"""Optimizers that change an entry by its own gradient and state alone: pruned ones stay at zero."""


def build_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """A fresh optimizer over all parameters of a model.

    Those by name use fused updates: one pass over all tensors, on CPU and GPU.

    Raises
    ------
    UsageError
        If the class cannot be imported, is no optimizer, or does not take the options.
    """
    kind = BY_NAME.get(recipe.optimizer) or import_string("task.optimizer", recipe.optimizer)
    if not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)):
        raise UsageError(f"task.optimizer: {recipe.optimizer!r} is no torch.optim.Optimizer.")
    options: dict[str, Any] = {"lr": recipe.lr}
    accepted = inspect.signature(kind).parameters
    if "weight_decay" in accepted or any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        options["weight_decay"] = recipe.weight_decay
    elif recipe.weight_decay:
        raise UsageError(f"task.weight_decay: {recipe.optimizer} has none; leave it out.")
    if recipe.optimizer == "sgd":
        options |= {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    if recipe.optimizer in BY_NAME:
        options["fused"] = all(p.is_floating_point() for p in model.parameters())
    try:
        optimizer = kind(_groups(recipe, model), **{**options, **recipe.optimizer_options})
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"task.optimizer_options: {recipe.optimizer}: {error}") from error
    step = inspect.signature(optimizer.step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise UsageError(
            f"task.optimizer: {recipe.optimizer} needs a closure in each step, which evaluates the "
            "loss several times; take one that does not."
        )
    return optimizer


def is_entry_by_entry(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a pruned entry, with gradient zero, is sure to stay where it is."""
    return type(optimizer) in ENTRY_BY_ENTRY


_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def _norms_and_biases(model: nn.Module) -> set[nn.Parameter]:
    """Parameters of norms, biases, and gains: those with one dimension that is longer than 1."""
    return {
        parameter
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, _NORMS)
        or name.endswith("bias")
        or name.startswith("bias_")
        or parameter.numel() == max(parameter.shape, default=1)
    }


def _groups(recipe: Recipe, model: nn.Module) -> Iterable[Any]:
    """All parameters, or those that weight decay applies to apart from norms and biases."""
    parameters = list(model.parameters())
    if recipe.decay_norms_and_biases or not recipe.weight_decay:
        return parameters
    spared = _norms_and_biases(model)
    decayed = [p for p in parameters if p not in spared]
    others = [p for p in parameters if p in spared]
    groups: list[dict[str, Any]] = [
        {"params": decayed},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
