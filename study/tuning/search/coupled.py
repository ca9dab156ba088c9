"""What a space sees of channels: coupled sets, of each of which a share may go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from search_spaces import Layer, SearchSpace
from search_spaces.structures import is_units
from study.pruning.channels import run_examples
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.allocation import cut_units
from study.pruning.structure.finding import Kind, units_to_prune
from study.pruning.structure.request import UnitRequest
from study.pruning.structure.scores import UNIT_SALIENCIES, UnitInputs
from study.pruning.structure.sizes import Sizes, sizes_of, units_left
from study.pruning.structure.units import Structure
from study.pruning.training.trajectory import build_model
from study.tasks.task import Task

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""What a scan found, as plans of allocation ``sensitivity`` have it."""


@dataclass(frozen=True, eq=False)
class CoupledSets:
    """Channels, neurons or heads of a network that go together.

    Parameters
    ----------
    layers
        Each set as a space draws a level for it: by the first layer that makes its units; its
        total is their number.
    structures
        The same with all of their entries.
    sizes
        Prunable weights by how many units are left.
    stay
        Why the units of other layers stay, by layer.
    """

    layers: tuple[Layer, ...]
    structures: tuple[Structure, ...]
    sizes: Sizes
    stay: Mapping[str, str] = field(default_factory=dict)

    def least_density(self, space: SearchSpace) -> float:
        """Density of the weights where each set is as narrow as the space's bounds allow."""
        groups = space.per_layer.groups(self.layers)
        highest = {layer.name: group.high for group in groups for layer in group.layers}
        request = self._request({}, highest, space, {})
        left = {s.name: request.width_at(s, highest[s.name]) for s in self.structures}
        return self.sizes.total(left) / self._whole

    def allocated(
        self,
        allocation: str,
        density: float,
        space: SearchSpace,
        masked: MaskedLayers,
        drops: Curves,
    ) -> dict[str, float]:
        """Share of each set that an allocation takes out, those of least absolute weights first.

        Parameters
        ----------
        allocation
            One of those of channels.
        density
            Of the prunable weights.
        space
            Its ``width_multiple`` counts.
        masked
            The dense network.
        drops
            What a scan found, for ``sensitivity``.

        Raises
        ------
        UsageError
            If so few cannot be left.
        """
        inputs = UnitInputs(
            {name: parameter.detach() for name, parameter in masked.model.named_parameters()},
            frozenset(masked.parameter_names.values()),
            list,
            seed=0,
        )
        scores = UNIT_SALIENCIES["l1"](self.structures, inputs)
        request = self._request(scores, 1.0 - density, space, drops)
        left = units_left(cut_units(allocation, request))
        return {s.name: 1.0 - left[s.name] / s.units for s in self.structures}

    def straight(self, highest: float) -> dict[str, tuple[tuple[float, float], ...]]:
        """A scan that there was not: drops as large as the share that goes, up to the highest."""
        return {layer.name: ((highest, highest),) for layer in self.layers}

    @property
    def _whole(self) -> float:
        return self.sizes.total({s.name: s.units for s in self.structures})

    def _request(
        self,
        scores: Mapping[str, Tensor],
        sparsity: float | Mapping[str, float],
        space: SearchSpace,
        drops: Curves,
    ) -> UnitRequest:
        return UnitRequest(
            self.structures,
            {s.name: torch.ones(s.units, dtype=torch.bool) for s in self.structures},
            scores,
            self.sizes,
            sparsity,
            cost=self.sizes,
            width_multiple=space.width_multiple,
            drops=drops,
        )


def coupled_sets(task: Task, space: SearchSpace, layers: Sequence[Layer]) -> CoupledSets | None:
    """The coupled sets of a task's model; None unless it takes units alone.

    Parameters
    ----------
    task
        Its model is traced.
    space
        Says what is taken out, and from which layers.
    layers
        The prunable layers, which say of what kind the sets are.

    Raises
    ------
    UsageError
        If none can be taken out.
    """
    if not is_units(space.structure):
        return None
    masked = mask_layers(build_model(task, 0), space.include or None, space.exclude or None)
    found, stay = units_to_prune(
        masked, lambda model: run_examples(task, model, 2), cast(Kind, space.structure)
    )
    kinds = {layer.name: layer.kind for layer in layers}
    weights = {name: float(math.prod(weight.shape)) for name, weight in masked.weights.items()}
    return CoupledSets(
        tuple(Layer(s.name, s.units, kinds.get(s.name, "other")) for s in found),
        tuple(found),
        sizes_of(found, masked.weights, masked.parameter_names, weights),
        stay,
    )
