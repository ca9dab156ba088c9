"""How a model is called: by the form of its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from study.tasks.data.structures import map_leaves


def call(model: nn.Module, inputs: Any) -> Any:
    """Run a model: ``model(x)``, ``model(*xs)`` of a tuple, ``model(**xs)`` of a mapping.

    The fields of a dataclass are arguments by name too.
    """
    if isinstance(inputs, Tensor):
        return model(inputs)
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if dataclasses.is_dataclass(inputs) and not isinstance(inputs, type):
        names = [field.name for field in dataclasses.fields(inputs)]
        return model(**{name: getattr(inputs, name) for name in names})
    return model(*inputs)


def as_model_takes(inputs: Any, dtype: torch.dtype) -> Any:
    """Inputs in the types that a model works with, batch by batch.

    Images of bytes, (n, channels, height, width), become numbers from 0 to 1; other integers are
    indices, int64; floating-point numbers get the type of the model's parameters. bool and complex
    stay.

    Parameters
    ----------
    inputs
        Of a batch.
    dtype
        Of the model's floating-point parameters.
    """

    def cast(leaf: Tensor) -> Tensor:
        if leaf.dtype == torch.uint8 and leaf.dim() == 4:
            return leaf.to(dtype).div_(255)
        if leaf.dtype == torch.bool or leaf.is_complex():
            return leaf
        return leaf.to(dtype) if leaf.is_floating_point() else leaf.long()

    return cast(inputs) if isinstance(inputs, Tensor) else map_leaves(cast, inputs)


def working_dtype(model: nn.Module) -> torch.dtype:
    """Type of a model's first floating-point parameter."""
    kinds = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(kinds, torch.get_default_dtype())
