"""What keeps pruned weights and their gradients zero: hooks that survive copies and loading."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_GUARDS = "_gradient_masks"
_INTEGER_OF_WIDTH = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Places = list[tuple[nn.Module, str]]
"""Modules that hold one parameter, and its name in each."""


class GradientMask:
    """Keeps the gradient of one parameter zero where its mask is False.

    Tensor hooks get lost when a parameter is copied or pickled. This object is an attribute of
    the module, is copied and pickled with it, and puts the hook on again.
    """

    def __init__(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        self.module = module
        self.name = name
        self.watch(parameter)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.module, self.name, self.parameter)

    def watch(self, parameter: nn.Parameter) -> None:
        """Mask the gradient of this parameter from now on."""
        self.parameter = parameter
        self._bits: Tensor | None = None
        self._bits_of: Tensor | None = None
        self._handle = parameter.register_post_accumulate_grad_hook(self._mask_gradient)

    @property
    def mask(self) -> Tensor:
        """Bool, of the parameter's shape; True = kept."""
        mask: Tensor = self.module._buffers[mask_name(self.name)]  # type: ignore[assignment]
        return mask

    def set_mask(self, mask: Tensor) -> None:
        """Put another mask in the place of this one."""
        # A new tensor, not a write into the old one: copies of the old masks stay what they were.
        self.module._buffers[mask_name(self.name)] = mask.to(self.mask.device).clone()

    def zero_weights(self) -> None:
        """Make what is masked exactly zero."""
        self.parameter.masked_fill_(~self.mask, 0)

    def detach(self) -> None:
        """Mask nothing any more."""
        self._handle.remove()
        del self.module._buffers[mask_name(self.name)]

    def _mask_gradient(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if gradient.requires_grad:  # backward(create_graph=True): stay differentiable
            parameter.grad = gradient * self.mask
            return
        # AND with all ones or all zeros, in place: as fast as a float product, but it gives +0.0
        # even where the gradient is inf or NaN, and it takes no new memory.
        integer = _INTEGER_OF_WIDTH[gradient.element_size()]
        mask = self.mask
        if self._bits is None or self._bits_of is not mask or self._bits.dtype != integer:
            # Laid out in memory as the gradient is, whatever the mask came from.
            self._bits = torch.empty_like(gradient, dtype=integer).copy_(mask).neg_()
            self._bits_of = mask
        gradient.view(integer).bitwise_and_(self._bits)


def mask_name(parameter: str) -> str:
    """Name of the buffer that holds the mask of a parameter of the same module."""
    return f"{parameter}_mask"


def attach(places: Places) -> None:
    """Mask a parameter, everything kept, in each of the modules that hold it."""
    module, name = places[0]
    parameter = module._parameters[name]
    assert parameter is not None
    module.register_buffer(mask_name(name), torch.ones_like(parameter, dtype=torch.bool))
    guard = GradientMask(module, name, parameter)
    for owner, own_name in places:
        owner.__dict__.setdefault(_GUARDS, {})[own_name] = guard
        owner.register_load_state_dict_pre_hook(_keep_masks_that_are_not_loaded)
        owner.register_load_state_dict_post_hook(_mask_loaded_weights)


def _keep_masks_that_are_not_loaded(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Let a dense checkpoint be loaded, and let loading leave masks that were handed out alone."""
    for name, guard in guards_of(module).items():
        if guard.module is module:
            guard.set_mask(guard.mask)
            state_dict.setdefault(f"{prefix}{mask_name(name)}", guard.mask)


def _mask_loaded_weights(module: nn.Module, _incompatible_keys: Any) -> None:
    for name, guard in guards_of(module).items():
        guard.set_mask(guard.mask)  # a new tensor: the gradient's bits are made anew from it
        parameter = module._parameters[name]
        if parameter is not None and parameter is not guard.parameter:
            guard.watch(parameter)  # load_state_dict(assign=True) puts another parameter here
        with torch.no_grad():
            guard.zero_weights()


def forget(module: nn.Module) -> None:
    """Take from a module what masked its parameters' gradients."""
    module.__dict__.pop(_GUARDS, None)


def guards_of(module: nn.Module) -> dict[str, GradientMask]:
    """What masks the gradients of a module's own parameters, by their names."""
    guards: dict[str, GradientMask] = module.__dict__.get(_GUARDS, {})
    return guards
