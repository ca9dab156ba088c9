"""Masks that live beside the parameters they mask.

A mask is a bool buffer next to its parameter (``weight`` has ``weight_mask``), True = kept. The
weight is *exactly* zero where the mask is False, and its gradient is made zero there the moment
autograd delivers it: before clipping, before the optimizer. The ordinary forward pass of the
ordinary layer then computes ``act((W * M) x + b)``, and a training loop needs to call nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from study.errors import UsageError, unknown_name
from study.pruning.masking.candidates import join, layer_name, owner_of
from study.pruning.masking.gradient_masks import (
    GradientMask,
    follow,
    forget,
    guards_of,
)
from study.pruning.masking.output_units import by_output_unit


class MaskedLayers:
    """The handle on a model's masks. It holds no state: all of it is in the model.

    Parameters
    ----------
    model
        A model on which :func:`mask_layers` has put masks.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        modules = dict(model.named_modules())
        self._guards: dict[str, GradientMask] = {}
        self._companions: dict[str, GradientMask] = {}
        self._owners = {}
        for prefix, module in modules.items():
            for guard in guards_of(module).values():
                if guard.module is module and guard.is_companion:
                    self._companions[join(prefix, guard.name)] = guard
                elif guard.module is module:
                    owner, tensor = owner_of(prefix, module, guard.name)
                    name = layer_name(join(owner, tensor))
                    self._guards[name], self._owners[name] = guard, modules[owner]

    @property
    def names(self) -> list[str]:
        """Layer names, in the order in which the model registers them."""
        return list(self._guards)

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The masked parameters by layer name.

        Of a module with a weight norm it is the direction, of one with a spectral norm the weight
        before it is scaled: zeros of these are zeros of the weight.
        """
        follow(self.model, self._all)
        return {name: guard.parameter for name, guard in self._guards.items()}

    @property
    def parameter_names(self) -> dict[str, str]:
        """Name of the parameter that each layer's weight is, by layer name."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        return {layer: names[weight] for layer, weight in self.weights.items()}

    @property
    def _all(self) -> dict[str, GradientMask]:
        return {**self._guards, **self._companions}

    @property
    def companions(self) -> dict[str, Tensor]:
        """Masks of the parameters that are no weights to prune, by parameter name.

        Biases and norms of channels, and what others multiply these with.
        """
        return {name: guard.mask for name, guard in self._companions.items()}

    @property
    def buffers(self) -> list[Tensor]:
        """All masks, of layers and of companions: buffers of the model."""
        return [guard.mask for guard in self._all.values()]

    @property
    def masks(self) -> dict[str, Tensor]:
        """The bool masks by layer name, True = kept. To change them, :meth:`cut`."""
        return {name: guard.mask for name, guard in self._guards.items()}

    @property
    def masks_by_output(self) -> dict[str, Tensor]:
        """The masks by layer name, shape (output units, weights of one)."""
        return {name: by_output_unit(mask, self._owners[name]) for name, mask in self.masks.items()}

    @property
    def output_rows(self) -> dict[str, Tensor]:
        """Flat indices of the weights of each output unit by layer, of the same shape."""
        return {
            name: by_output_unit(
                torch.arange(mask.numel(), device=mask.device).view_as(mask), self._owners[name]
            )
            for name, mask in self.masks.items()
        }

    @property
    def kept(self) -> dict[str, int]:
        """Number of weights that each mask keeps."""
        return {name: int(mask.sum()) for name, mask in self.masks.items()}

    @property
    def total(self) -> dict[str, int]:
        """Number of weights in each masked parameter."""
        return {name: mask.numel() for name, mask in self.masks.items()}

    @property
    def density(self) -> float:
        """Share of all masked parameters' weights that is kept."""
        return sum(self.kept.values()) / sum(self.total.values())

    def cut(
        self,
        masks: Mapping[str, Tensor],
        *,
        optimizer: torch.optim.Optimizer | None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Shrink masks: zero the weights they drop, and what an optimizer remembers of these.

        Parameters
        ----------
        masks
            New bool masks by layer name, or by parameter name of a companion, shaped like their
            weights. Layers left out keep theirs.
        optimizer
            The optimizer that trains these weights: its state is cleared where a mask is False,
            or kept momentum would revive pruned weights. Pass None only where none exists yet.
        weights
            New values of weights by layer name, which they have before the masks zero them.

        Raises
        ------
        UsageError
            If a name is unknown, a shape differs, a mask would bring a pruned weight back, or
            the model was changed such that a mask has no weight any more.
        """
        follow(self.model, self._all)
        guards = self._all
        for name, mask in masks.items():
            if name not in guards:
                raise unknown_name("layer", name, self._guards)
            old = guards[name].mask
            if mask.shape != old.shape or mask.dtype != torch.bool:
                raise UsageError(
                    f"mask of layer {name!r} is {mask.dtype} {tuple(mask.shape)}; "
                    f"it must be torch.bool {tuple(old.shape)}."
                )
            revived = int((mask & ~old).sum())
            if revived:
                raise UsageError(
                    f"mask of layer {name!r} would bring back {revived} pruned weights; "
                    "masks only shrink."
                )
        with torch.no_grad():
            for name, values in (weights or {}).items():
                self._guards[name].parameter.copy_(values)
        for name, mask in masks.items():
            guards[name].set_mask(mask)
        self.apply()
        if optimizer is not None:
            self.clear_optimizer_state(optimizer)

    @torch.no_grad()
    def apply(self) -> None:
        """Make weights exactly zero where their mask is False, after something wrote to them.

        Where a module was given another parameter of the same shape, that one is masked from now
        on.
        """
        follow(self.model, self._all)
        for guard in self._all.values():
            guard.zero_weights()

    @torch.no_grad()
    def clear_optimizer_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Zero what the optimizer remembers of pruned weights (momentum, both Adam moments)."""
        for guard in self._all.values():
            for value in optimizer.state.get(guard.parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == guard.parameter.shape:
                    value.masked_fill_(~guard.mask, 0)

    def mask_hash(self) -> str:
        """A name for this set of masks: equal masks have equal names on every machine."""
        digest = hashlib.sha256()
        for name, mask in self.masks.items():
            digest.update(f"{name}{tuple(mask.shape)}".encode())
            digest.update(mask.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def remove(self) -> None:
        """Take masks and hooks off the model; the weights keep their zeros."""
        self.apply()
        for guard in self._all.values():
            guard.detach()
        for module in self.model.modules():
            forget(module)
