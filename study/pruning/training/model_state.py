"""A model's complete state, also what is no tensor and what is only made while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _EXTRA_STATE_KEY_SUFFIX


def copy_state(model: nn.Module) -> dict[str, Any]:
    """A copy of the ``state_dict``, on the CPU; extra state may be anything."""
    return {name: _copied(value) for name, value in model.state_dict().items()}


def put_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Copy a state into a model, which shares nothing with it afterwards.

    What the state does not know (a mask, a buffer that the model has made since) stays as it is.
    A buffer that the model has not made yet is made, and one that has grown takes its old shape.

    Raises
    ------
    RuntimeError
        If the state is of another model.
    """
    extra = {n: deepcopy(value) for n, value in state.items() if not isinstance(value, Tensor)}
    make_room(model, state, state.keys() - extra.keys())
    model.load_state_dict({**model.state_dict(), **state, **extra})


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
        if module is None or own_name == _EXTRA_STATE_KEY_SUFFIX:
            continue
        here, value = module._buffers.get(own_name), state[name]
        is_free = own_name in module._buffers or not hasattr(module, own_name)
        if is_free and (here is None or here.shape != value.shape):
            where = device if here is None else here.device
            persistent = own_name not in module._non_persistent_buffers_set
            module.register_buffer(own_name, value.detach().clone().to(where), persistent)


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
