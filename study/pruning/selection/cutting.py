"""How a cut is made of a target: by counts of layers, in proportion, or by one ranking of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.selection.costs import (
    apportion_cost,
    cost_to_keep,
    keep_within,
)
from study.pruning.selection.ranking import apportion, keep_best, pruned_count
from study.pruning.selection.request import Cut, Request


def own_counts(
    request: Request, sparsity: Mapping[str, float]
) -> tuple[list[int], dict[str, float]]:
    """Weights that each layer keeps at a sparsity of its own, and what was asked of it.

    Raises
    ------
    UsageError
        If a layer would keep less than its floor.
    """
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


def cut_to_counts(request: Request, counts: Sequence[int], requested: dict[str, float]) -> Cut:
    """Keep the best so many of each layer."""
    masks = {
        layer: keep_best(request.scores[layer], mask, count)
        for (layer, mask), count in zip(request.masks.items(), counts, strict=True)
    }
    return Cut(masks, requested)


def cut_in_proportion(
    request: Request, shares: Sequence[float], lower: Sequence[int], upper: Sequence[int]
) -> Cut:
    """Layers keep numbers in proportion to their shares, within bounds, up to the budget.

    Raises
    ------
    UsageError
        If the lower bounds are more than the budget.
    """
    costs = request.budget_costs
    try:
        if costs is None:
            counts = apportion(shares, lower, upper, request.budget)
        else:
            counts = apportion_cost(shares, lower, upper, costs, to_keep(request, costs))
    except ValueError as error:
        raise unreachable(request, lower) from error
    requested = {
        layer: 1 - count / total
        for layer, count, total in zip(request.masks, counts, request.totals, strict=True)
    }
    return cut_to_counts(request, counts, requested)


def cut_by_rank(request: Request, scores: dict[str, Tensor]) -> Cut:
    """Keep the highest scores of all layers, and of each what is safe, up to the budget.

    Raises
    ------
    UsageError
        If what is safe is more than the budget.
    """
    costs = request.budget_costs
    safe = safe_weights(request, scores)
    if any(request.safe):
        scores = {layer: s.masked_fill(safe[layer], torch.inf) for layer, s in scores.items()}
    ranked = joined(scores[layer] for layer in request.masks)
    alive = joined(request.masks.values())
    if costs is None:
        kept = keep_best(ranked, alive, request.budget)
    else:
        kept = keep_within(ranked, each_cost(request, costs), alive, to_keep(request, costs))
    return parted(request, kept)


def safe_weights(request: Request, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks of the best of each layer, which no other layer can take.

    Raises
    ------
    UsageError
        If they are more than the budget.
    """
    costs, counts = request.budget_costs, request.safe
    if costs is None:
        fits = sum(counts) <= request.budget
    else:
        cost = sum(count * each for count, each in zip(counts, costs, strict=True))
        fits = cost <= to_keep(request, costs)
    if not fits:
        raise unreachable(request, counts)
    return {
        layer: keep_best(scores[layer], mask, count)
        for (layer, mask), count in zip(request.masks.items(), counts, strict=True)
    }


def to_keep(request: Request, costs: Sequence[float]) -> float:
    """What may be kept in all, in units of cost."""
    assert isinstance(request.sparsity, float)
    return cost_to_keep(request.sparsity, costs, request.totals)


def each_cost(request: Request, costs: Sequence[float]) -> Tensor:
    """Cost of every weight, layer after layer, float64."""
    return joined(
        torch.full((mask.numel(),), cost, dtype=torch.float64, device=mask.device)
        for mask, cost in zip(request.masks.values(), costs, strict=True)
    )


def joined(values: Iterable[Tensor]) -> Tensor:
    """All layers' values, one after the other."""
    return torch.cat([value.flatten() for value in values])


def parted(request: Request, kept: Tensor) -> Cut:
    """The inverse, for a mask: layers again."""
    parts = kept.split(request.totals)
    masks = {
        layer: part.view_as(mask)
        for (layer, mask), part in zip(request.masks.items(), parts, strict=True)
    }
    return Cut(masks, {})


def unreachable(request: Request, lower: Sequence[int]) -> UsageError:
    """What to say where layers must keep more than there is to keep."""
    costs = request.budget_costs
    if costs is None:
        would, must = f"{request.budget} weights", f"{sum(lower)}"
    else:
        cost = sum(count * each for count, each in zip(lower, costs, strict=True))
        would = f"{to_keep(request, costs):.0f} multiply-adds"
        must = f"{sum(lower)} weights of {cost:.0f} multiply-adds"
    return UsageError(
        f"sparsity {request.sparsity} would keep {would}, but the layers must keep at least "
        f"{must} (layer_floor {request.layer_floor}, and what the allocation protects). Lower the "
        "sparsity or the floor."
    )
