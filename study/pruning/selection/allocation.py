"""Which weights go: how a sparsity is divided over the layers.

An allocation knows nothing of rounds or training. It takes scores and the masks so far, and
gives masks that are subsets of these with *exactly* the asked-for number of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from study.errors import UsageError, unknown_name
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.seeds import derive_seed
from study.pruning.selection.ranking import apportion, keep_best, pruned_count

LAST_LAYER_DENSITY = 0.2
"""Least density of the last layer under uniform_plus (Gale et al. 2019, section 4.2)."""


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
        Fraction of the original weights to be gone: one number, a number by layer (names or
        patterns; layers not named stay as they are), or None with ``threshold``.
    threshold
        Absolute cut-off on the scores, for the allocation of that name.
    layer_floor
        Least density that any layer keeps.
    """

    scores: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    sparsity: float | Mapping[str, float] | None = None
    threshold: float | None = None
    layer_floor: float = 0.0

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
        """Weights that each layer must keep."""
        floors = [total - pruned_count(1 - self.layer_floor, total) for total in self.totals]
        return [min(floor, alive) for floor, alive in zip(floors, self.alive, strict=True)]

    @property
    def budget(self) -> int:
        """Weights to keep in all, for an allocation that takes one number."""
        assert isinstance(self.sparsity, float)
        total = sum(self.totals)
        return min(total - pruned_count(self.sparsity, total), sum(self.alive))


@dataclass(frozen=True, eq=False)
class Cut:
    """The outcome: new masks, and the sparsity that was asked of each layer where one was."""

    masks: dict[str, Tensor]
    requested: dict[str, float]

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
        return Cut(masks, self.requested)

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Layers of which nothing is left: no signal passes them."""
        return tuple(layer for layer, mask in self.masks.items() if not bool(mask.any()))


def per_layer(request: Request) -> Cut:
    """Each named layer to its own sparsity."""
    assert isinstance(request.sparsity, Mapping)
    return _cut_to_counts(
        request, *_own_counts(request, resolve_patterns(request.sparsity, list(request.masks)))
    )


def uniform(request: Request) -> Cut:
    """Every layer to the same sparsity, each to its nearest whole weight."""
    assert isinstance(request.sparsity, float)
    return _cut_to_counts(
        request, *_own_counts(request, dict.fromkeys(request.masks, request.sparsity))
    )


def uniform_plus(request: Request) -> Cut:
    """Uniform, but the first convolution stays dense and the last layer at least 20 % dense.

    The other layers share what is left, so that the total is exact.

    References
    ----------
    Gale et al. 2019, "The State of Sparsity in Deep Neural Networks", section 4.2.
    """
    lower, upper = request.floors, request.alive
    weights = list(request.masks.values())
    first_convolution = next((i for i, weight in enumerate(weights) if weight.dim() > 2), None)
    if first_convolution is not None:
        lower[first_convolution] = upper[first_convolution]
    last = len(weights) - 1
    least = request.totals[last] - pruned_count(1 - LAST_LAYER_DENSITY, request.totals[last])
    lower[last] = min(max(lower[last], least), upper[last])
    return _cut_in_proportion(request, [float(total) for total in request.totals], lower, upper)


def erk(request: Request) -> Cut:
    """Erdős-Rényi-Kernel: the larger a layer, the sparser.

    Density is proportional to ``(n_in + n_out + k_w + k_h) / (n_in * n_out * k_w * k_h)``; layers
    that would pass 1 are kept dense and the scale is solved again.

    References
    ----------
    Evci et al. 2020, "Rigging the Lottery", section 3.
    """
    # Density times size: the number kept is proportional to the sum of the dimensions alone.
    sizes = [float(sum(mask.shape)) for mask in request.masks.values()]
    return _cut_in_proportion(request, sizes, request.floors, request.alive)


def global_(request: Request) -> Cut:
    """One ranking over all layers."""
    return _cut_by_rank(request, dict(request.scores))


def lamp(request: Request) -> Cut:
    """One ranking of scores that say how much of its layer a weight is.

    The score is the square of the saliency over the sum of squares of all weights in the layer
    that rank no lower. The highest of each layer scores 1, so no layer dies before all do.

    References
    ----------
    Lee et al. 2021, "Layer-adaptive sparsity for the Magnitude-based Pruning", equation 3.
    """
    return _cut_by_rank(
        request,
        {layer: lamp_scores(request.scores[layer], mask) for layer, mask in request.masks.items()},
    )


def threshold(request: Request) -> Cut:
    """Every weight whose score is below an absolute cut-off goes."""
    assert request.threshold is not None
    below = {
        layer: mask & (request.scores[layer] < request.threshold)
        for layer, mask in request.masks.items()
    }
    counts = [
        max(alive - int(gone.sum()), floor)
        for alive, gone, floor in zip(request.alive, below.values(), request.floors, strict=True)
    ]
    return _cut_to_counts(request, counts, {})


ALLOCATIONS: dict[str, Callable[[Request], Cut]] = {
    "per_layer": per_layer,
    "uniform": uniform,
    "uniform_plus": uniform_plus,
    "global": global_,
    "erk": erk,
    "lamp": lamp,
    "threshold": threshold,
}


@torch.no_grad()
def allocate(name: str, request: Request) -> Cut:
    """Divide a cut over the layers.

    Parameters
    ----------
    name
        A name of :data:`ALLOCATIONS`.
    request
        Scores, masks and target.

    Returns
    -------
    Cut
        Masks that only shrink. Equal scores are kept in the order of layers and indices.

    Raises
    ------
    UsageError
        If the name or a layer is unknown, or floors make the target unreachable.
    """
    if name not in ALLOCATIONS:
        raise unknown_name("allocation", name, ALLOCATIONS)
    return ALLOCATIONS[name](request)


def lamp_scores(saliency: Tensor, alive: Tensor) -> Tensor:
    """LAMP score of every weight that is alive, float64; zero elsewhere.

    Squares are summed from the largest down, in float64: subtracting from a grand total instead
    loses the small weights of a large layer.
    """
    if bool((saliency[alive] < 0).any()):
        raise UsageError("allocation lamp needs a saliency that is never negative")
    flat = torch.where(alive, saliency.double(), -1.0).flatten()
    order = flat.argsort(descending=True, stable=True)
    squares = flat[order].clamp_min(0).square()
    no_lower = squares.cumsum(0)
    scores = torch.zeros_like(flat)
    scores[order] = torch.where(no_lower > 0, squares / no_lower.clamp_min(1e-300), 0.0)
    return scores.view_as(saliency)


def _own_counts(
    request: Request, sparsity: Mapping[str, float]
) -> tuple[list[int], dict[str, float]]:
    counts = []
    for (layer, mask), alive, floor in zip(
        request.masks.items(), request.alive, request.floors, strict=True
    ):
        total = mask.numel()
        kept = total - pruned_count(sparsity.get(layer, 0.0), total)
        if kept < floor:
            raise UsageError(
                f"layer_floor {request.layer_floor} keeps {floor} of the {total} weights of layer "
                f"{layer!r}, but sparsity {sparsity[layer]} asks for {kept}."
            )
        counts.append(min(kept, alive))
    return counts, dict(sparsity)


def _cut_in_proportion(
    request: Request, shares: Sequence[float], lower: Sequence[int], upper: Sequence[int]
) -> Cut:
    try:
        counts = apportion(shares, lower, upper, request.budget)
    except ValueError as error:
        raise _unreachable(request, sum(lower)) from error
    requested = {
        layer: 1 - count / total
        for layer, count, total in zip(request.masks, counts, request.totals, strict=True)
    }
    return _cut_to_counts(request, counts, requested)


def _cut_to_counts(request: Request, counts: Sequence[int], requested: dict[str, float]) -> Cut:
    masks = {
        layer: keep_best(request.scores[layer], mask, count)
        for (layer, mask), count in zip(request.masks.items(), counts, strict=True)
    }
    return Cut(masks, requested)


def _cut_by_rank(request: Request, scores: dict[str, Tensor]) -> Cut:
    if request.budget < sum(request.floors):
        raise _unreachable(request, sum(request.floors))
    if any(request.floors):
        for (layer, mask), floor in zip(request.masks.items(), request.floors, strict=True):
            safe = keep_best(scores[layer], mask, floor)
            scores[layer] = scores[layer].masked_fill(safe, torch.inf)
    layers = list(request.masks)
    kept = keep_best(
        torch.cat([scores[layer].flatten() for layer in layers]),
        torch.cat([request.masks[layer].flatten() for layer in layers]),
        request.budget,
    )
    parts = kept.split(request.totals)
    return Cut(
        {
            layer: part.view_as(request.masks[layer])
            for layer, part in zip(layers, parts, strict=True)
        },
        {},
    )


def _unreachable(request: Request, least: int) -> UsageError:
    return UsageError(
        f"sparsity {request.sparsity} would keep {request.budget} weights, but the layers must "
        f"keep at least {least} (layer_floor {request.layer_floor}, and what the allocation "
        "protects). Lower the sparsity or the floor."
    )
