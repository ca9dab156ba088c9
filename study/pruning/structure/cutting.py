"""From units that are left to the masks of all their entries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from study.pruning.masking.masks import MaskedLayers, mask_companions
from study.pruning.structure.units import Alive, Structure, kept_along, kept_entries


def with_companions(masked: MaskedLayers, structures: Sequence[Structure]) -> MaskedLayers:
    """Mask, beside the weights to prune, whatever else goes with units: biases, norms, columns."""
    parameters = {name for name, _ in masked.model.named_parameters(remove_duplicate=False)}
    parts = {part.tensor: None for structure in structures for part in structure.parts}
    return mask_companions(masked, [name for name in parts if name in parameters])


def alive_units(masked: MaskedLayers, structures: Sequence[Structure]) -> dict[str, Tensor]:
    """Units of which any weight is kept that makes them: bool, (units,), by structure."""
    layer_of = {parameter: layer for layer, parameter in masked.parameter_names.items()}
    masks = masked.masks
    found = {}
    for structure in structures:
        alive = torch.zeros(structure.units, dtype=torch.bool)
        for part in structure.of_role("writes"):
            if part.tensor not in layer_of:
                continue
            mask = masks[layer_of[part.tensor]]
            others = [d for d in range(mask.dim()) if d != part.dimension]
            entries = mask.any(dim=others).cpu() & (part.unit_of >= 0)
            alive[part.unit_of[entries]] = True
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
