"""All that training changes: copied from a model and its optimizer, and put back into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.training.model_state import copy_state, put_state

_NUMBER = "#"
"""Ends the name of a slot that holds a Python number, such as the step count of some optimizers."""


@dataclass(frozen=True, eq=False)
class TrainState:
    """All that training changes, on the CPU.

    Parameters
    ----------
    model
        The complete ``state_dict``: weights, biases, norms and their statistics, masks, and what
        modules give as extra state, which may be no tensor.
    optimizer
        The optimizer's tensors, as ``"slot/parameter"``.
    """

    model: Mapping[str, Any]
    optimizer: Mapping[str, Tensor]


def capture(model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState:
    """Copy the state of training: later steps do not change it."""
    names: dict[Tensor, str] = {weight: name for name, weight in model.named_parameters()}
    slots = {
        f"{_slot_name(slot, value)}/{names[parameter]}": value
        for parameter, of_parameter in optimizer.state.items()
        for slot, value in of_parameter.items()
        if value is not None and _can_be_kept(slot, value, optimizer)
    }
    return TrainState(
        copy_state(model),
        {key: torch.as_tensor(value).detach().cpu().clone() for key, value in slots.items()},
    )


def _can_be_kept(slot: str, value: Any, optimizer: torch.optim.Optimizer) -> bool:
    if isinstance(value, (Tensor, int, float)):
        return True
    raise UsageError(
        f"task.optimizer: {type(optimizer).__name__} remembers {type(value).__name__} as {slot!r}; "
        "only tensors and numbers can be kept, so training that was cut off could not go on."
    )


def _slot_name(slot: str, value: Any) -> str:
    return slot if isinstance(value, Tensor) else f"{slot}{_NUMBER}"


def load_model(model: nn.Module, state: TrainState) -> None:
    """Copy a state into a model. Masks that the state does not know stay as they are."""
    put_state(model, state.model)


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, state: TrainState) -> None:
    """Copy the optimizer's part of a state into an optimizer over the model's parameters."""
    slots: dict[int, dict[str, Any]] = {}
    parameters = dict(model.named_parameters())
    in_order = [p for group in optimizer.param_groups for p in group["params"]]
    place = {parameter: index for index, parameter in enumerate(in_order)}
    for key, value in state.optimizer.items():
        slot, _, name = key.partition("/")
        of_parameter = slots.setdefault(place[parameters[name]], {})
        if slot.endswith(_NUMBER):
            of_parameter[slot.removesuffix(_NUMBER)] = value.item()
        else:
            of_parameter[slot] = _laid_out_like(parameters[name], value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy whose elements lie in memory as the parameter's do: fused kernels go by that."""
    if value.shape != parameter.shape:
        return value.clone()  # such as Adam's step
    return torch.empty_like(parameter, dtype=value.dtype).detach().copy_(value)
