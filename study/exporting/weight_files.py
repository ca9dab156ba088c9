"""``.safetensors``: a plain ``state_dict``, for any program that has the model's code."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor, nn

from study.errors import UsageError


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The ``state_dict`` of a model, whose tied weights still share their memory.

    Raises
    ------
    UsageError
        If a module keeps something in it that is no tensor.
    """
    state = model.state_dict()
    others = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if others:
        raise UsageError(
            f"output: {', '.join(others)} of this network is no tensor, and .safetensors holds "
            "nothing else. Allowed: .onnx, .pt2."
        )
    return {name: value.detach().contiguous() for name, value in state.items()}


def to_weights(model: nn.Module, metadata: Mapping[str, str]) -> bytes:
    """Write a model's weights under the names of its ``state_dict``.

    Tied weights are written under each of their names, so that a strict ``load_state_dict`` finds
    all of them.
    """
    state = {name: value.clone() for name, value in plain_state(model).items()}
    return save(state, metadata={"format": "pt", **metadata})
