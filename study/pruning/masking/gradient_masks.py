"""What keeps pruned weights and their gradients zero: hooks that survive copies and loading."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from study.errors import UsageError
from study.pruning.masking.reparametrised import allow_dead_units

_GUARDS = "_gradient_masks"
_INTEGER_OF_WIDTH = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

NORMS_BY_CHANNEL = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
"""Norms of which each channel has its own scale, shift and statistics."""

Places = list[tuple[nn.Module, str]]
"""Modules that hold one parameter, and its name in each."""


class GradientMask:
    """Keeps the gradient of one parameter zero where its mask is False.

    Tensor hooks get lost when a parameter is copied or pickled. This object is an attribute of
    the module, is copied and pickled with it, and puts the hook on again.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        parameter: nn.Parameter,
        mask_name: str,
        is_companion: bool = False,
    ) -> None:
        self.module = module
        self.name = name
        self.mask_name = mask_name
        self.is_companion = is_companion
        self._handle: RemovableHandle | None = None
        self.watch(parameter)

    def __reduce__(self) -> tuple[Any, ...]:
        given = (self.module, self.name, self.parameter, self.mask_name, self.is_companion)
        return type(self), given

    def watch(self, parameter: nn.Parameter) -> None:
        """Mask the gradient of this parameter from now on."""
        if self._handle is not None:
            self._handle.remove()
        self.parameter = parameter
        self._bits: Tensor | None = None
        self._bits_of: Tensor | None = None
        self._handle = parameter.register_post_accumulate_grad_hook(_hook(self))

    @property
    def mask(self) -> Tensor:
        """Bool, of the parameter's shape; True = kept."""
        mask: Tensor = self.module._buffers[self.mask_name]  # type: ignore[assignment]
        return mask

    def set_mask(self, mask: Tensor) -> None:
        """Put another mask in the place of this one."""
        # A new tensor, not a write into the old one: copies of the old masks stay what they were.
        self.module._buffers[self.mask_name] = mask.to(self.parameter.device).clone()

    def zero_weights(self) -> None:
        """Make what is masked exactly zero, and what a norm has seen of it."""
        self.parameter.masked_fill_(~self.mask, 0)
        if self.is_companion and isinstance(self.module, NORMS_BY_CHANNEL):
            for statistic in (self.module.running_mean, self.module.running_var):
                if statistic is not None:
                    statistic.masked_fill_(~self.mask, 0)

    def detach(self) -> None:
        """Mask nothing any more."""
        assert self._handle is not None
        self._handle.remove()
        del self.module._buffers[self.mask_name]

    def _mask_gradient(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if gradient.requires_grad:  # backward(create_graph=True): stay differentiable
            parameter.grad = gradient * self.mask
            return
        if gradient.is_conj() or gradient.is_neg():  # a view that conjugates when it is read
            gradient = parameter.grad = gradient.resolve_conj().resolve_neg()
        # AND with all ones or all zeros, in place: as fast as a float product, but it gives +0.0
        # even where the gradient is inf or NaN, and it takes no new memory.
        integer = _INTEGER_OF_WIDTH.get(gradient.element_size())
        mask = self.mask
        if integer is None:  # complex128: two numbers of 8 bytes
            gradient, integer = torch.view_as_real(gradient), torch.int64
        if self._bits is None or self._bits_of is not mask or self._bits.dtype != integer:
            # Laid out in memory as the gradient is, whatever the mask came from.
            wide = mask if gradient.dim() == mask.dim() else mask.unsqueeze(-1)
            self._bits = torch.empty_like(gradient, dtype=integer).copy_(wide).neg_()
            self._bits_of = mask
        gradient.view(integer).bitwise_and_(self._bits)


def _hook(guard: GradientMask) -> Callable[[Tensor], None]:
    """Mask a gradient, for as long as a module has the mask.

    The hook does not hold the guard: a ring of a parameter, its hook and what holds the parameter
    goes through torch, where Python's garbage collector does not see it, and is never freed.
    """
    found = weakref.ref(guard)

    def mask_gradient(parameter: Tensor) -> None:
        living = found()
        if living is not None:
            living._mask_gradient(parameter)

    return mask_gradient


def attach(places: Places, *, is_companion: bool = False) -> None:
    """Mask a parameter, everything kept, in each of the modules that hold it.

    Parameters
    ----------
    places
        Where it is held.
    is_companion
        Whether it is no weight to prune, but goes when the weights go that it is beside.
    """
    module, name = places[0]
    parameter = module._parameters[name]
    assert parameter is not None
    mask_name = _free_name(module, name)
    module.register_buffer(mask_name, torch.ones_like(parameter, dtype=torch.bool))
    guard = GradientMask(module, name, parameter, mask_name, is_companion)
    for owner, own_name in places:
        owner.__dict__.setdefault(_GUARDS, {})[own_name] = guard
        owner.register_load_state_dict_pre_hook(_keep_masks_that_are_not_loaded)
        owner.register_load_state_dict_post_hook(_mask_loaded_weights)
        allow_dead_units(owner)


def _free_name(module: nn.Module, parameter: str) -> str:
    """Name of the mask's buffer: ``weight_mask``, unless the module has something of that name."""
    name = f"{parameter}_mask"
    for number in count(1):
        if not hasattr(module, name):
            break
        name = f"{parameter}_prune{number}_mask"
    return name


def _keep_masks_that_are_not_loaded(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Let a dense checkpoint be loaded, and let loading leave masks that were handed out alone."""
    for guard in guards_of(module).values():
        if guard.module is module:
            guard.set_mask(guard.mask)
            state_dict.setdefault(f"{prefix}{guard.mask_name}", guard.mask)


def _mask_loaded_weights(module: nn.Module, _incompatible_keys: Any) -> None:
    for name, guard in guards_of(module).items():
        guard.set_mask(guard.mask)  # a new tensor: the gradient's bits are made anew from it
        parameter = module._parameters[name]
        if parameter is not None and parameter is not guard.parameter:
            # load_state_dict(assign=True) puts another parameter here, and one of its own into
            # every module that shares it.
            if guard.module is not module and parameter.data_ptr() == guard.parameter.data_ptr():
                module._parameters[name] = guard.parameter
            else:
                guard.watch(parameter)
        with torch.no_grad():
            guard.zero_weights()


def forget(module: nn.Module) -> None:
    """Take from a module what masked its parameters' gradients."""
    module.__dict__.pop(_GUARDS, None)


def guards_of(module: nn.Module) -> dict[str, GradientMask]:
    """What masks the gradients of a module's own parameters, by their names."""
    guards: dict[str, GradientMask] = module.__dict__.get(_GUARDS, {})
    return guards


def follow(model: nn.Module, guards: Mapping[str, GradientMask]) -> None:
    """Watch the parameters that the modules hold now: somebody may have put others there.

    Parameters
    ----------
    model
        The model.
    guards
        What masks its layers, by layer name.

    Raises
    ------
    UsageError
        If a layer has no such parameter any more, or shares it in another way than before.
    """
    held: dict[GradientMask, list[nn.Parameter | None]] = {}
    for module in model.modules():
        for name, guard in guards_of(module).items():
            held.setdefault(guard, []).append(module._parameters.get(name))
    layer_of: dict[nn.Parameter, str] = {}
    for layer, guard in guards.items():
        parameter, *others = held.get(guard, [None])
        if parameter is not guard.parameter or any(other is not parameter for other in others):
            guard.watch(_successor(layer, guard.parameter, parameter, others))
        other_layer = layer_of.setdefault(guard.parameter, layer)
        if other_layer != layer:
            raise UsageError(
                f"layers {other_layer!r} and {layer!r} were masked apart and now share one weight; "
                "share it first, then call mask_layers."
            )


def _successor(
    layer: str,
    before: nn.Parameter,
    parameter: nn.Parameter | None,
    others: Sequence[nn.Parameter | None],
) -> nn.Parameter:
    again = "call mask_layers again and use the handle that it returns."
    if parameter is None:
        raise UsageError(f"layer {layer!r}: the weight that was masked is gone; {again}")
    if any(other is not parameter for other in others):
        raise UsageError(
            f"layer {layer!r}: its weight was shared, and now there are several; {again}"
        )
    if parameter.shape != before.shape:
        raise UsageError(
            f"layer {layer!r}: its weight was replaced by one of shape {tuple(parameter.shape)}, "
            f"and its mask is of shape {tuple(before.shape)}; build the model anew and mask that."
        )
    if not parameter.requires_grad:
        raise UsageError(
            f"layer {layer!r}: its weight was replaced by a frozen one (requires_grad is False)."
        )
    return parameter
