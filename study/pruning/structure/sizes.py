"""What a network costs when units are left out, and what one more unit less would save."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.pruning.structure.units import Structure


class Measure(Protocol):
    """What a network costs, as a function of how many units of each structure are left."""

    @property
    def error(self) -> float:
        """By how much, as a share, what it says may be wrong; 0 where it counts."""

    def total(self, left: Mapping[str, int]) -> float:
        """Cost of the network."""

    def saved(self, left: Mapping[str, int], structure: str, units: int) -> float:
        """What so many units less of a structure would save."""


@dataclass(frozen=True)
class _Side:
    """One dimension of a layer's weight: its size, and the entries that a unit has there."""

    size: int
    per_unit: Mapping[str, float]
    units: Mapping[str, int]

    def share(self, left: Mapping[str, float]) -> float:
        gone = sum(k * (self.units[name] - left[name]) for name, k in self.per_unit.items())
        return 1.0 - gone / self.size


@dataclass(frozen=True)
class Sizes:
    """Cost of a network as a function of how many units of each structure are left.

    A layer costs its dense cost times the shares of its outputs and of its inputs that are left:
    what a unit saves falls as its neighbours go.

    Parameters
    ----------
    dense
        Cost of each layer, dense: its weights, or its multiply-adds.
    sides
        The dimensions of each layer's weight along which units lie.
    """

    dense: Mapping[str, float]
    sides: Mapping[str, tuple[_Side, ...]]
    error: ClassVar[float] = 0.0

    def total(self, left: Mapping[str, float]) -> float:
        """Cost of all layers."""
        return sum(self._cost(layer, left) for layer in self.dense)

    def totals(self, left: Mapping[str, Any]) -> NDArray[np.float64]:
        """Cost of many networks at once: units that are left are numbers, or arrays of a grid."""
        return np.asarray(self.total(left), dtype=np.float64)

    def share(self, layer: str, left: Mapping[str, float]) -> float:
        """What is left of a layer's weights."""
        return math.prod(side.share(left) for side in self.sides.get(layer, ()))

    def saved(self, left: Mapping[str, int], structure: str, units: int) -> float:
        """What so many units less of a structure would save."""
        after = {**left, structure: left[structure] - units}
        touched = [
            layer
            for layer, sides in self.sides.items()
            if any(structure in side.per_unit for side in sides)
        ]
        return sum(self._cost(layer, left) - self._cost(layer, after) for layer in touched)

    def _cost(self, layer: str, left: Mapping[str, float]) -> float:
        return self.dense[layer] * self.share(layer, left)


def sizes_of(
    structures: Sequence[Structure],
    weights: Mapping[str, Tensor],
    parameter_names: Mapping[str, str],
    dense: Mapping[str, float],
) -> Sizes:
    """How a network's cost follows from its units.

    Parameters
    ----------
    structures
        Its units.
    weights
        Of each layer.
    parameter_names
        Name of the parameter that a layer's weight is.
    dense
        Cost of each layer when nothing is pruned.
    """
    layer_of = {parameter_names[layer]: layer for layer in weights}
    along: dict[str, dict[int, dict[str, float]]] = {}
    for structure in structures:
        for part in structure.parts:
            layer = layer_of.get(part.tensor)
            if layer is None:
                continue
            per_unit = int((part.unit_of >= 0).sum()) / structure.units
            side = along.setdefault(layer, {}).setdefault(part.dimension, {})
            side[structure.name] = side.get(structure.name, 0.0) + per_unit
    units = {structure.name: structure.units for structure in structures}
    sides = {
        layer: tuple(
            _Side(weights[layer].shape[d], per_unit, units) for d, per_unit in dimensions.items()
        )
        for layer, dimensions in along.items()
    }
    return Sizes(dense, sides)


def units_left(alive: Mapping[str, Tensor]) -> dict[str, int]:
    """How many units of each structure are left."""
    return {name: int(torch.count_nonzero(units)) for name, units in alive.items()}
