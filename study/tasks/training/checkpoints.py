"""Weights that exist already: where pruning begins at a network that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from study.errors import UsageError

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def load_checkpoint(path: str | Path) -> Mapping[str, Tensor]:
    """Read a ``state_dict``: safetensors, or what ``torch.save`` wrote; no code in it is run.

    Parameters
    ----------
    path
        The file. A ``state_dict`` within a larger checkpoint is found by its usual names.

    Raises
    ------
    UsageError
        If there is no such file, or it holds no state_dict.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"task.weights: there is no file {file}.")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails anywhere in what reads it
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"task.weights: {file} cannot be read as weights: {first} Save a state_dict, by "
            "safetensors or torch.save(model.state_dict(), ...)."
        ) from error
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not any(isinstance(v, Tensor) for v in found.values()):
        raise UsageError(
            f"task.weights: {file} holds {type(found).__name__}, no state_dict. Save "
            "model.state_dict()."
        )
    for name, value in found.items():
        if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()):
            raise UsageError(f"task.weights: {name} in {file} has values that are not finite.")
    return found


def put_checkpoint(model: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Load weights into a model, all of them and nothing else.

    Raises
    ------
    UsageError
        If names or shapes differ; the message names them.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise UsageError(
            f"task.weights: {path} is not of this model: {' '.join(lines)[:600]}"
        ) from error
