"""What a cut is asked to do, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from study.pruning.seeds import derive_seed
from study.pruning.selection.costs import WeightCosts
from study.pruning.selection.ranking import keep_best, pruned_count


@dataclass(frozen=True, eq=False)
class Request:
    """What a cut is asked to do.

    Parameters
    ----------
    scores
        Saliency by layer, shaped like the weights.
    masks
        Bool masks so far, of the same shapes and names, in the order of the model.
    sparsity
        Fraction of the original weights (or of their multiply-adds, as ``costs`` says) to be
        gone: one number, a number by layer (names or patterns; layers not named stay as they
        are), or None with ``threshold``.
    threshold
        Absolute cut-off on the scores, for the allocation of that name.
    layer_floor
        Least density that any layer keeps.
    costs
        What the weights of each layer cost; None where all cost the same.
    rows
        Flat indices of the weights of each output unit by layer, shape (units, weights of one),
        for the allocation ``per_output``; a layer without has its units along the first dimension.
    """

    scores: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    sparsity: float | Mapping[str, float] | None = None
    threshold: float | None = None
    layer_floor: float = 0.0
    costs: WeightCosts | None = None
    rows: Mapping[str, Tensor] | None = None

    @property
    def totals(self) -> list[int]:
        """Weights of each layer."""
        return [mask.numel() for mask in self.masks.values()]

    @property
    def alive(self) -> list[int]:
        """Weights that each layer still has."""
        return [int(mask.sum()) for mask in self.masks.values()]

    @property
    def floors(self) -> list[int]:
        """Weights that each layer must keep by its floor."""
        floors = [total - pruned_count(1 - self.layer_floor, total) for total in self.totals]
        return [min(floor, alive) for floor, alive in zip(floors, self.alive, strict=True)]

    @property
    def safe(self) -> list[int]:
        """Weights of each layer that no other layer can take: where costs count, one at least."""
        if self.costs is None:
            return self.floors
        return [
            min(max(floor, 1), alive) for floor, alive in zip(self.floors, self.alive, strict=True)
        ]

    @property
    def budget_costs(self) -> list[float] | None:
        """What a weight of each layer takes of the budget; None where it counts weights."""
        if self.costs is None or self.costs.in_budget is None:
            return None
        return [self.costs.in_budget[layer] for layer in self.masks]

    @property
    def budget(self) -> int:
        """Weights to keep in all, for an allocation that takes one number."""
        assert isinstance(self.sparsity, float)
        total = sum(self.totals)
        return min(total - pruned_count(self.sparsity, total), sum(self.alive))


@dataclass(frozen=True, eq=False)
class Cut:
    """The outcome: new masks, and the sparsity that was asked of each layer where one was.

    ``weights`` are new values of layers whose saliency mends what stays for what goes; they hold
    before the masks do.
    """

    masks: dict[str, Tensor]
    requested: dict[str, float]
    weights: Mapping[str, Tensor] | None = None

    def shuffled(self, alive: Mapping[str, Tensor], seed: int) -> Cut:
        """A control: as many weights of each layer as this cut keeps, drawn from those alive.

        If it does as well, the allocation is what matters, and not which weights were kept
        (Frankle & Carbin 2019, section 2; Liu et al. 2019).
        """
        masks = {}
        for layer, mask in self.masks.items():
            generator = torch.Generator().manual_seed(derive_seed(seed, layer))
            draws = torch.rand(mask.shape, generator=generator).to(mask.device)
            masks[layer] = keep_best(draws, alive[layer], int(mask.sum()))
        return replace(self, masks=masks)

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Layers of which nothing is left: no signal passes them."""
        return tuple(layer for layer, mask in self.masks.items() if not bool(mask.any()))
