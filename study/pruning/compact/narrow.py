"""Train the narrower network that is left when units are taken out, in place of the masked one.

The dead units are zero everywhere and stay so, whichever of the two is trained; the narrow one
costs what a network of its size costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from study.pruning.compact.carrying import SmallerCopy
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.cutting import alive_units
from study.pruning.structure.slicing import places_left, put, slice_model, take
from study.pruning.structure.units import Structure
from study.tasks.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class _Along:
    """What is left along some dimensions."""

    places: Mapping[int, Tensor]

    def take(self, whole: Tensor) -> Tensor:
        return take(whole, self.places)

    def put(self, whole: Tensor, part: Tensor) -> None:
        put(whole, self.places, part)


def narrow_copy(
    masked: MaskedLayers,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    structures: Sequence[Structure],
) -> SmallerCopy | None:
    """A copy of a masked network without its dead units, or None where all are alive.

    Parameters
    ----------
    masked
        The network.
    optimizer
        Its optimizer, whose state the copy goes on with.
    recipe
        How the copy's optimizer is made.
    structures
        The units that may be dead.
    """
    places = places_left(structures, alive_units(masked, structures))
    if not places:
        return None
    ways = {tensor: _Along(along) for tensor, along in places.items()}
    return SmallerCopy(masked, optimizer, recipe, ways, partial(slice_model, places=places))
