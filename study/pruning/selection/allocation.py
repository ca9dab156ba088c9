"""Which weights go: how a sparsity is divided over the layers.

An allocation knows nothing of rounds or training. It takes scores and the masks so far, and
gives masks that are subsets of these with *exactly* the asked-for number of weights, or as many
of their multiply-adds as were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from study.errors import UsageError, unknown_name
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.selection.costs import WeightCosts
from study.pruning.selection.cutting import (
    cut_by_rank,
    cut_in_proportion,
    cut_to_counts,
    each_cost,
    joined,
    own_counts,
    parted,
    safe_weights,
    to_keep,
)
from study.pruning.selection.knapsack import knapsack as best_under_budget
from study.pruning.selection.lamp import lamp_scores
from study.pruning.selection.ranking import keep_evenly, pruned_count
from study.pruning.selection.request import Cut, Request

LAST_LAYER_DENSITY = 0.2
"""Least density of the last layer under uniform_plus (Gale et al. 2019, section 4.2)."""


def per_layer(request: Request) -> Cut:
    """Each named layer to its own sparsity."""
    assert isinstance(request.sparsity, Mapping)
    return cut_to_counts(
        request, *own_counts(request, resolve_patterns(request.sparsity, list(request.masks)))
    )


def uniform(request: Request) -> Cut:
    """Every layer to the same sparsity, each to its nearest whole weight."""
    assert isinstance(request.sparsity, float)
    return cut_to_counts(
        request, *own_counts(request, dict.fromkeys(request.masks, request.sparsity))
    )


def uniform_plus(request: Request) -> Cut:
    """Uniform, but the first convolution stays dense and the last layer at least 20 % dense.

    The other layers share what is left, so that the total is exact.

    References
    ----------
    Gale et al. 2019, "The State of Sparsity in Deep Neural Networks", section 4.2.
    """
    lower, upper = request.safe, request.alive
    weights = list(request.masks.values())
    first_convolution = next((i for i, weight in enumerate(weights) if weight.dim() > 2), None)
    if first_convolution is not None:
        lower[first_convolution] = upper[first_convolution]
    last = len(weights) - 1
    least = request.totals[last] - pruned_count(1 - LAST_LAYER_DENSITY, request.totals[last])
    lower[last] = min(max(lower[last], least), upper[last])
    return cut_in_proportion(request, [float(total) for total in request.totals], lower, upper)


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
    return cut_in_proportion(request, sizes, request.safe, request.alive)


def per_output(request: Request) -> Cut:
    """Every layer to the same sparsity, and within it every output unit alike.

    Each layer keeps as many weights as under ``uniform``: of every output unit the best one, then
    of every unit the second best, and so on, until the number is met; of the last of these the
    highest scores. So the units of a layer differ by one weight at most, where they are alive.

    References
    ----------
    Sun et al. 2024, "A Simple and Effective Pruning Approach for Large Language Models" (Wanda),
    section 3: scores are compared within each output.
    """
    assert isinstance(request.sparsity, float)
    counts, requested = own_counts(request, dict.fromkeys(request.masks, request.sparsity))
    rows = request.rows or {}
    masks = {
        layer: keep_evenly(request.scores[layer], mask, count, rows.get(layer))
        for (layer, mask), count in zip(request.masks.items(), counts, strict=True)
    }
    return Cut(masks, requested)


def global_(request: Request) -> Cut:
    """One ranking over all layers, by saliency over ``cost ** cost_exponent``."""
    return cut_by_rank(request, _per_cost(request, request.scores))


def lamp(request: Request) -> Cut:
    """One ranking of scores that say how much of its layer a weight is.

    The score is the square of the saliency over the sum of squares of all weights in the layer
    that rank no lower, and that over ``cost ** cost_exponent``. The highest of each layer scores
    1, so without costs no layer dies before all do.

    References
    ----------
    Lee et al. 2021, "Layer-adaptive sparsity for the Magnitude-based Pruning", equation 3.
    """
    scores = {
        layer: lamp_scores(request.scores[layer], mask) for layer, mask in request.masks.items()
    }
    return cut_by_rank(request, _per_cost(request, scores))


def knapsack(request: Request) -> Cut:
    """The weights of the highest summed squared saliency that the budget pays for.

    Squares, since they add up: with magnitudes their sum is what the cut leaves of the weights'
    squared norm. They are taken of every saliency, as ``lamp`` does, of ``obs`` and ``gradient``
    too, whose scores are changes of a loss already.

    The best of each layer stays, as many as its floor says and one at least; that is no loss but
    of the budget, for within a layer all weights cost the same. Where the budget counts weights
    this is ``global``; where it counts multiply-adds it is the exact optimum but for what one
    weight is worth (:func:`study.pruning.selection.knapsack.knapsack`).

    References
    ----------
    Shen et al. 2022, "Structural Pruning via Latency-Saliency Knapsack" (HALP), whose items are
    groups of channels and whose budget is latency.
    """
    if any(bool((request.scores[n][mask] < 0).any()) for n, mask in request.masks.items()):
        raise UsageError("allocation knapsack needs a saliency that is never negative")
    request = replace(request, costs=request.costs or WeightCosts({}))
    by_budget = request.budget_costs
    safe = safe_weights(request, request.scores)
    costs = [1.0] * len(request.masks) if by_budget is None else by_budget
    alive = joined(request.masks.values())
    chosen = best_under_budget(
        joined(request.scores[layer] for layer in request.masks)[alive].double().square(),
        each_cost(request, costs)[alive],
        request.budget if by_budget is None else to_keep(request, costs),
        keep=joined(safe.values())[alive],
    )
    kept = torch.zeros_like(alive)
    kept[alive] = chosen
    return parted(request, kept)


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
    return cut_to_counts(request, counts, {})


ALLOCATIONS: dict[str, Callable[[Request], Cut]] = {
    "per_layer": per_layer,
    "uniform": uniform,
    "uniform_plus": uniform_plus,
    "per_output": per_output,
    "global": global_,
    "erk": erk,
    "lamp": lamp,
    "knapsack": knapsack,
    "threshold": threshold,
}


OWN_NUMBERS = ("per_layer", "uniform", "uniform_plus", "erk")
"""Those by which each layer has its number of weights whatever the scores, and the best stay."""


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


def _per_cost(request: Request, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(scores) if request.costs is None else request.costs.per_cost(scores, request.masks)
