"""Train a smaller network where whole rows or columns of layers are pruned.

A row (an output unit or channel) whose weights are all pruned gives its bias whatever comes in, and
a column whose weights are all pruned is never looked at. A copy of the network that holds only the
matrices that are left takes the same steps with less work, and what it learned is written back: the
entries that it has not are pruned, so they are zero and stay so, and so is what the optimizer
remembers of them. Masks, records and checkpoints keep the original coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.pruning.masks import MaskedLayers, mask_layers
from study.tasks.recipe import Recipe, build_optimizer

MOST_LEFT = {nn.Linear: 0.75, nn.Conv2d: 0.5}
"""Share of a layer's matrix up to which leaving out the rest pays on a CPU, by the benchmark
``dead_units``. With the channels of images last in memory it never does for convolutions: picking
channels out of images then costs more than it saves."""

Layer = nn.Linear | nn.Conv2d

Live = tuple[Tensor, Tensor]
"""Rows and columns of a layer's matrix in which anything is kept: int64, ascending."""


class CompactCopy:
    """A copy of a masked network without the dead rows and columns of its layers.

    Layers of torch's own types Linear and Conv2d are compact; grouped convolutions, padding with
    anything but zeros and weights that several layers share are copied as they are.

    Parameters
    ----------
    masked
        The network.
    optimizer
        Its optimizer, whose state the copy goes on with.
    recipe
        How the copy's optimizer is made.
    live
        What :func:`live_units` found.
    """

    def __init__(
        self,
        masked: MaskedLayers,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        live: Mapping[str, Live],
    ) -> None:
        self._full, self._full_optimizer = masked.model, optimizer
        self.model = deepcopy(masked.model)
        MaskedLayers(self.model).remove()
        self._live = {f"{name}.weight": units for name, units in live.items()}
        for name, units in live.items():
            layer: Layer = self.model.get_submodule(name)  # type: ignore[assignment]
            width = layer.weight.shape[0]
            layer.weight = nn.Parameter(_taken(layer.weight.detach(), units))
            layer.forward = partial(_forward, layer, units, width)  # type: ignore[method-assign]
        mask_layers(self.model, include=masked.names).cut(
            {
                name: _taken(mask, live[name]) if name in live else mask
                for name, mask in masked.masks.items()
            },
            optimizer=None,
        )
        self.optimizer = build_optimizer(recipe, self.model)
        for full, own, its_units in self._pairs():
            self.optimizer.state[own] = {
                slot: _taken(value, its_units) if value.shape == full.shape else value.clone()
                for slot, value in optimizer.state.get(full, {}).items()
            }

    @classmethod
    def if_it_pays(
        cls, masked: MaskedLayers, optimizer: torch.optim.Optimizer, recipe: Recipe
    ) -> Self | None:
        """A copy, or None where too little is dead."""
        live = live_units(masked)
        return cls(masked, optimizer, recipe, live) if live else None

    @torch.no_grad()
    def store(self) -> None:
        """Write weights, statistics and the optimizer's state back into the network."""
        buffers = dict(self._full.named_buffers())
        for name, buffer in self.model.named_buffers():
            if buffer.shape == buffers[name].shape:
                buffers[name].copy_(buffer)
        for full, own, units in self._pairs():
            _put(full, own, units)
            state = self._full_optimizer.state[full]
            for slot, value in self.optimizer.state.get(own, {}).items():
                if value.shape == own.shape:
                    _put(state.setdefault(slot, torch.zeros_like(full)), value, units)
                else:
                    state[slot] = value.clone()

    def _pairs(self) -> list[tuple[nn.Parameter, nn.Parameter, Live | None]]:
        own = dict(self.model.named_parameters())
        return [
            (parameter, own[name], self._live.get(name))
            for name, parameter in self._full.named_parameters()
        ]


def live_units(
    masked: MaskedLayers, most_left: Mapping[type[nn.Module], float] = MOST_LEFT
) -> dict[str, Live]:
    """Live rows and columns of the layers that would be worth making compact.

    Parameters
    ----------
    masked
        The network.
    most_left
        Share of the matrix that may be live, by the layer's type.

    Returns
    -------
    dict of str to tuple of Tensor
        Rows and columns by layer name.
    """
    found = {}
    holders: dict[nn.Parameter, list[nn.Module]] = {}
    for module in masked.model.modules():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(parameter, []).append(module)
    for name, mask in masked.masks.items():
        module, *others = holders[masked.weights[name]]
        if others or type(module) not in most_left or not _is_plain(module):
            continue
        rows, columns = _live(mask, 0), _live(mask, 1)
        if len(rows) * len(columns) <= most_left[type(module)] * mask.shape[0] * mask.shape[1]:
            found[name] = (rows, columns)
    return found


def _is_plain(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d):
        return True
    is_last = _memory_format(module.weight) == torch.channels_last
    return module.groups == 1 and module.padding_mode == "zeros" and not is_last


def _live(mask: Tensor, dimension: int) -> Tensor:
    """Where anything is kept along a dimension; one place where nothing is: a layer has one."""
    others = [d for d in range(mask.dim()) if d != dimension]
    found = mask.any(dim=others).nonzero().flatten()
    return found if len(found) else found.new_zeros(1)


def _taken(values: Tensor, units: Live | None) -> Tensor:
    """A copy of what is in the live rows and columns."""
    if units is None:
        return values.clone()
    rows, columns = units
    return values.index_select(0, rows).index_select(1, columns)


def _put(full: Tensor, values: Tensor, units: Live | None) -> None:
    if units is None:
        full.copy_(values)
    else:
        rows, columns = units
        full[rows[:, None], columns] = values


def _memory_format(values: Tensor) -> torch.memory_format:
    if values.is_contiguous() or values.dim() != 4:
        return torch.contiguous_format
    return torch.channels_last


def _forward(layer: Layer, units: Live, width: int, inputs: Tensor) -> Tensor:
    """What the whole layer would give, from its live rows and columns."""
    rows, columns = units
    across = -1 if isinstance(layer, nn.Linear) else -3
    if len(columns) < inputs.shape[across]:
        inputs = inputs.index_select(across, columns)
    some_are_dead = len(rows) < width
    bias = None if some_are_dead else layer.bias
    if isinstance(layer, nn.Linear):
        outputs = functional.linear(inputs, layer.weight, bias)
    else:
        outputs = layer._conv_forward(inputs, layer.weight, bias)
    if not some_are_dead:
        return outputs
    shape = list(outputs.shape)
    shape[across] = width
    wide = outputs.new_zeros(shape).index_copy(across, rows, outputs)
    if layer.bias is None:
        return wide
    return wide + layer.bias.to(wide.dtype).reshape(-1, *[1] * (-across - 1))
