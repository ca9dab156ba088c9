"""From units that are left to the masks of all their entries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from study.pruning.masking.choosing import mask_companions
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.units import Alive, Structure, kept_along, kept_entries


def with_companions(masked: MaskedLayers, structures: Sequence[Structure]) -> MaskedLayers:
    """Mask, beside the weights to prune, whatever else goes with units: biases, norms, columns."""
    parameters = {name for name, _ in masked.model.named_parameters(remove_duplicate=False)}
    parts = {part.tensor: None for structure in structures for part in structure.parts}
    return mask_companions(masked, [name for name in parts if name in parameters])


def alive_units(masked: MaskedLayers, structures: Sequence[Structure]) -> dict[str, Tensor]:
    """Units of which any entry is kept: bool, (units,), by structure.

    A unit that was taken out has none, in whatever makes or reads it. One that single pruned
    weights have cut off from its inputs lives on: its bias may still be read.
    """
    layer_of = {parameter: layer for layer, parameter in masked.parameter_names.items()}
    masks = {**masked.masks, **masked.companions}
    found = {}
    for structure in structures:
        alive = torch.zeros(structure.units, dtype=torch.bool)
        for part in structure.parts:
            name = layer_of.get(part.tensor, part.tensor)
            if name not in masks:  # statistics of norms are no parameters
                continue
            mask = masks[name]
            others = [d for d in range(mask.dim()) if d != part.dimension]
            along = mask.any(dim=others) if others else mask
            entries = along.cpu() & (part.unit_of >= 0).cpu()
            alive[part.unit_of.cpu()[entries]] = True
        found[structure.name] = alive
    return found


def masks_of(
    masked: MaskedLayers, structures: Sequence[Structure], alive: Alive
) -> dict[str, Tensor]:
    """New masks, by the names that ``masked.cut`` takes: what there was, less dead units."""
    layer_of = {parameter: layer for layer, parameter in masked.parameter_names.items()}
    before = {**masked.masks, **masked.companions}
    found = {}
    for tensor, along in kept_along(structures, alive).items():
        name = layer_of.get(tensor, tensor)
        if name in before:  # statistics of norms are no parameters, and follow these
            mask = before[name]
            found[name] = mask & kept_entries(mask.shape, along).to(mask.device)
    return found


def room_left(
    masked: MaskedLayers, structures: Sequence[Structure], alive: Alive
) -> dict[str, Tensor]:
    """What units leave of the weights to prune, by layer: bool, whatever else is pruned of it."""
    along = kept_along(structures, alive)
    names = masked.parameter_names
    return {
        layer: kept_entries(mask.shape, along.get(names[layer], {}))
        for layer, mask in masked.masks.items()
    }
