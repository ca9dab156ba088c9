"""Train the narrower network that is left when units are taken out, in place of the masked one.

The dead units are zero everywhere and stay so, whichever of the two is trained; the narrow one
costs what a network of its size costs. What it learned is written back, so that masks, records and
checkpoints keep their coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from study.pruning.masking.masks import MaskedLayers, mask_layers
from study.pruning.structure.cutting import alive_units
from study.pruning.structure.slicing import Places, places_left, put, slice_model, take
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of, make_room, put_extra_state
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe


class NarrowCopy:
    """A copy of a masked network without its dead units.

    Parameters
    ----------
    masked
        The network.
    optimizer
        Its optimizer, whose state the copy goes on with.
    recipe
        How the copy's optimizer is made.
    places
        What is left of each tensor.
    """

    def __init__(
        self,
        masked: MaskedLayers,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        places: Places,
    ) -> None:
        self._whole, self._whole_optimizer, self._places = masked.model, optimizer, places
        self.model = copy_of(masked.model)
        MaskedLayers(self.model).remove()
        slice_model(self.model, places)
        self._mask(masked)
        self.optimizer = build_optimizer(recipe, self.model)
        for name, whole, own in self._pairs():
            self.optimizer.state[own] = {
                slot: take(value, places.get(name, {}))
                if isinstance(value, Tensor) and value.shape == whole.shape
                else _copied(value)
                for slot, value in optimizer.state.get(whole, {}).items()
            }

    @classmethod
    def if_any_is_dead(
        cls,
        masked: MaskedLayers,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        structures: Sequence[Structure],
    ) -> Self | None:
        """A copy, or None where all units are alive."""
        places = places_left(structures, alive_units(masked, structures))
        return cls(masked, optimizer, recipe, places) if places else None

    @torch.no_grad()
    def store(self) -> None:
        """Write weights, statistics and the optimizer's state back into the network."""
        self._store_buffers()
        for name, whole, own in self._pairs():
            along = self._places.get(name, {})
            put(whole, along, own)
            state = self._whole_optimizer.state[whole]
            for slot, value in self.optimizer.state.get(own, {}).items():
                if isinstance(value, Tensor) and value.shape == own.shape:
                    put(state.setdefault(slot, torch.zeros_like(whole)), along, value)
                else:
                    state[slot] = _copied(value)

    def _store_buffers(self) -> None:
        put_extra_state(self.model, self._whole)
        masks = {id(mask) for mask in MaskedLayers(self.model).buffers}
        own = {n: buffer for n, buffer in self.model.named_buffers() if id(buffer) not in masks}
        make_room(self._whole, own, [name for name in own if name not in self._places])
        buffers = dict(self._whole.named_buffers())
        for name, buffer in own.items():
            with torch.inference_mode(buffers[name].is_inference()):
                put(buffers[name], self._places.get(name, {}), buffer)

    def _mask(self, masked: MaskedLayers) -> None:
        """Mask single weights that are pruned within the units that are left."""
        names = masked.parameter_names
        masks = {
            layer: take(mask, self._places.get(names[layer], {}))
            for layer, mask in masked.masks.items()
        }
        masks = {layer: mask for layer, mask in masks.items() if not bool(mask.all())}
        if masks:
            mask_layers(self.model, include=list(masks)).cut(masks, optimizer=None)

    def _pairs(self) -> list[tuple[str, nn.Parameter, nn.Parameter]]:
        own = dict(self.model.named_parameters())
        return [(name, whole, own[name]) for name, whole in self._whole.named_parameters()]


def _copied(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value
