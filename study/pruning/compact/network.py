"""Train a smaller network in place of one that is largely pruned.

A copy of the network that holds only what is left takes the same steps with less work, and what it
learned is written back. The entries that it has not are pruned: they are zero and stay so, and so
is what the optimizer remembers of them. Masks, records and checkpoints keep their coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import nn

from study.pruning.compact.layers import Form, KeptWeights, Layer, LiveUnits, memory_format
from study.pruning.masking.masks import MaskedLayers, mask_layers
from study.pruning.training.model_state import copy_of, make_room, put_extra_state
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe


@dataclass(frozen=True)
class Limits:
    """Up to where a smaller form of a layer pays; the defaults are what the benchmarks found.

    Parameters
    ----------
    linear_units, conv_units
        Live rows times live columns, as a share of the matrix, below which the dead ones are left
        out.
    channels_last
        Output channels that a convolution has at least, where channels are last in memory: picking
        channels out of such images costs more than a small convolution saves.
    sparse_density
        Density of a dense layer below which its products are made sparse ones, on a CPU.
    sparse_weights
        Weights that such a layer has at least, pruned ones included.
    """

    linear_units: float = 0.6
    conv_units: float = 0.35
    channels_last: int = 64
    sparse_density: float = 0.12
    sparse_weights: int = 10_000


class CompactCopy:
    """A copy of a masked network with smaller forms of its layers.

    Parameters
    ----------
    masked
        The network.
    optimizer
        Its optimizer, whose state the copy goes on with.
    recipe
        How the copy's optimizer is made.
    forms
        What :func:`smaller_forms` found.
    """

    def __init__(
        self,
        masked: MaskedLayers,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        forms: dict[str, Form],
    ) -> None:
        self._whole, self._whole_optimizer = masked.model, optimizer
        self.model = copy_of(masked.model)
        MaskedLayers(self.model).remove()
        self._forms = {f"{name}.weight": form for name, form in forms.items()}
        for name, form in forms.items():
            layer: Layer = self.model.get_submodule(name)  # type: ignore[assignment]
            layer.weight = nn.Parameter(form.take(layer.weight.detach()))
            layer.forward = partial(form.forward, layer)  # type: ignore[method-assign]
        self._mask(masked, forms)
        self.optimizer = build_optimizer(recipe, self.model)
        for whole, own, its_form in self._pairs():
            self.optimizer.state[own] = {
                slot: value.clone()
                if its_form is None or value.shape != whole.shape
                else its_form.take(value)
                for slot, value in optimizer.state.get(whole, {}).items()
            }

    @classmethod
    def if_it_pays(
        cls, masked: MaskedLayers, optimizer: torch.optim.Optimizer, recipe: Recipe
    ) -> Self | None:
        """A copy, or None where too little is pruned."""
        forms = smaller_forms(masked)
        return cls(masked, optimizer, recipe, forms) if forms else None

    @torch.no_grad()
    def store(self) -> None:
        """Write weights, statistics and the optimizer's state back into the network."""
        self._store_buffers()
        for whole, own, form in self._pairs():
            (whole.copy_ if form is None else partial(form.put, whole))(own)
            state = self._whole_optimizer.state[whole]
            for slot, value in self.optimizer.state.get(own, {}).items():
                if form is None or value.shape != own.shape:
                    state[slot] = value.clone()
                else:
                    form.put(state.setdefault(slot, torch.zeros_like(whole)), value)

    def _store_buffers(self) -> None:
        """Write buffers back, also those that a forward pass made or made larger."""
        put_extra_state(self.model, self._whole)
        masks = {id(mask) for mask in MaskedLayers(self.model).buffers}
        own = {n: buffer for n, buffer in self.model.named_buffers() if id(buffer) not in masks}
        make_room(self._whole, own, own)
        buffers = dict(self._whole.named_buffers())
        for name, buffer in own.items():
            # The model's own code may have made the buffer anew in inference mode.
            with torch.inference_mode(buffers[name].is_inference()):
                buffers[name].copy_(buffer)

    def _mask(self, masked: MaskedLayers, forms: dict[str, Form]) -> None:
        """Mask what is pruned within the smaller forms; a vector of kept weights has nothing."""
        masks = {
            name: forms[name].take(mask) if name in forms else mask
            for name, mask in masked.masks.items()
            if not isinstance(forms.get(name), KeptWeights)
        }
        if masks:
            mask_layers(self.model, include=list(masks)).cut(masks, optimizer=None)

    def _pairs(self) -> list[tuple[nn.Parameter, nn.Parameter, Form | None]]:
        own = dict(self.model.named_parameters())
        return [
            (parameter, own[name], self._forms.get(name))
            for name, parameter in self._whole.named_parameters()
        ]


def smaller_forms(masked: MaskedLayers, limits: Limits | None = None) -> dict[str, Form]:
    """Smaller forms of the layers for which one pays.

    Only layers of torch's own types Linear and Conv2d have one. Grouped convolutions, those that
    pad with anything but zeros, and weights that layers share are left as they are.

    Parameters
    ----------
    masked
        The network.
    limits
        Up to where a form pays; None for what was measured.

    Returns
    -------
    dict of str to Form
        By layer name.
    """
    limits = limits or Limits()
    modules = dict(masked.model.named_modules())
    holders: dict[nn.Parameter, list[nn.Module]] = {}
    for module in modules.values():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(parameter, []).append(module)
    weights = masked.weights
    forms: dict[str, Form] = {}
    for name, mask in masked.masks.items():
        layer, *others = holders[weights[name]]
        # Its weight may be one of several, or be computed of a parameter of another name.
        if others or modules.get(name) is not layer or not _is_plain(layer, limits):
            continue
        if layer._parameters.get("weight") is not weights[name]:
            continue
        if type(layer) is nn.Linear and _is_sparse_enough(layer, mask, limits):
            forms[name] = KeptWeights(mask)
            continue
        units = LiveUnits(mask)
        most = limits.linear_units if type(layer) is nn.Linear else limits.conv_units
        if units.share_left <= most:
            forms[name] = units
    return forms


def _is_plain(layer: nn.Module, limits: Limits) -> bool:
    if type(layer) is nn.Conv2d:
        is_last = memory_format(layer.weight) == torch.channels_last
        is_wide = not is_last or layer.out_channels >= limits.channels_last
        return layer.groups == 1 and layer.padding_mode == "zeros" and is_wide
    return type(layer) is nn.Linear


def _is_sparse_enough(layer: nn.Linear, mask: torch.Tensor, limits: Limits) -> bool:
    return (
        0 < float(mask.float().mean()) <= limits.sparse_density
        and mask.numel() >= limits.sparse_weights
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype in (torch.float32, torch.float64)
        and torch.backends.mkl.is_available()
    )
