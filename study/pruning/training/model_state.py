"""A model's complete state, also what is no tensor and what is only made while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _EXTRA_STATE_KEY_SUFFIX

from study.pruning.masking.candidates import join
from study.pruning.masking.masks import MaskedLayers


def copy_state(model: nn.Module) -> dict[str, Any]:
    """A copy of the ``state_dict``, on the CPU; extra state may be anything.

    A buffer that is still to be made is None.
    """
    still_none = {
        join(prefix, name): None
        for prefix, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is None and name not in module._non_persistent_buffers_set
    }
    return {**still_none, **{name: _copied(value) for name, value in model.state_dict().items()}}


def put_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Copy what :func:`copy_state` copied into a model, which shares nothing with it afterwards.

    A buffer that the model has not made yet is made, one that has grown takes its old shape, and
    one that was not made then is unmade. Masks that the state does not know stay as they are.

    Raises
    ------
    RuntimeError
        If the state is of another model.
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    extra = {n: deepcopy(value) for n, value in state.items() if _is_extra_state(n)}
    _unmake(model, state)
    make_room(model, tensors, tensors)
    model.load_state_dict({**model.state_dict(), **tensors, **extra})


def _unmake(model: nn.Module, state: Mapping[str, Any]) -> None:
    masks = {id(mask) for mask in MaskedLayers(model).buffers}
    written = model.state_dict(keep_vars=True).keys()  # a module's own hook may leave some out
    for prefix, module in model.named_modules():
        for name, buffer in list(module._buffers.items()):
            full_name = join(prefix, name)
            if full_name not in written or id(buffer) in masks:
                continue
            if full_name not in state:
                del module._buffers[name]
            elif state[full_name] is None:
                module._buffers[name] = None


def _is_extra_state(name: str) -> bool:
    return name.rpartition(".")[2] == _EXTRA_STATE_KEY_SUFFIX


def make_room(model: nn.Module, state: Mapping[str, Any], buffers: Iterable[str]) -> None:
    """Give a model the buffers of a state that it lacks, or has in another shape.

    Parameters
    ----------
    model
        The model.
    state
        Values by name.
    buffers
        Which of them may be buffers.
    """
    modules = dict(model.named_modules())
    device = next((parameter.device for parameter in model.parameters()), None)
    for name in buffers:
        prefix, _, own_name = name.rpartition(".")
        module = modules.get(prefix)
        if module is None or _is_extra_state(name) or _is_mask(module, own_name, state[name]):
            continue
        here, value = module._buffers.get(own_name), state[name]
        is_free = own_name in module._buffers or not hasattr(module, own_name)
        if is_free and (here is None or here.shape != value.shape):
            where = device if here is None else here.device
            persistent = own_name not in module._non_persistent_buffers_set
            module.register_buffer(own_name, value.detach().clone().to(where), persistent)


def _is_mask(module: nn.Module, name: str, value: Tensor) -> bool:
    """Whether a value masks a parameter: such a buffer alone would mask nothing."""
    return value.dtype == torch.bool and any(
        parameter is not None
        and parameter.shape == value.shape
        and name.startswith(f"{own_name}_")
        and name.endswith("_mask")
        for own_name, parameter in module._parameters.items()
    )


def put_extra_state(source: nn.Module, model: nn.Module) -> None:
    """Give a model the extra state of another one with the same modules."""
    modules = dict(model.named_modules())
    for name, module in source.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            modules[name].set_extra_state(_copied(module.get_extra_state()))


def copy_of(model: nn.Module) -> nn.Module:
    """A deep copy, also of a model that keeps activations of its last pass.

    These hang on a graph, and such tensors refuse to be copied.
    """
    kept = [
        value for module in model.modules() for value in _tensors_in(list(vars(module).values()))
    ]
    return deepcopy(model, {id(t): t.detach().clone() for t in kept if not t.is_leaf})


def _tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return _tensors_in(list(value.values()))
    parts = value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in _tensors_in(part)]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return deepcopy(value)
