"""What a weight costs, where weights of different layers do not cost the same.

A weight of a convolution is used at every position of its output, one of a dense layer once: for
multiply-adds they are not worth the same. A ranking may divide each score by a power of the cost,
and a cut may be asked for a share of the multiply-adds instead of the weights. What is left to say
of a layer, that it can take more or less than its scores let on, an offset of their logarithm says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.selection.ranking import scaled_within

ROUNDING = 1e-12
"""Share of a whole cost by which sums may differ through rounding alone."""

NO_OFFSETS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class WeightCosts:
    """What one nonzero weight of each layer costs.

    Parameters
    ----------
    in_ranking
        By layer: the cost by which scores are divided.
    exponent
        The power of it by which they are divided; 0 leaves the scores as they are.
    in_budget
        By layer: the cost in which the target counts. None: every weight counts 1.
    offsets
        By layer: what is added to the logarithm of its scores in the ranking; unnamed, 0.
    """

    in_ranking: Mapping[str, float]
    exponent: float = 0.0
    in_budget: Mapping[str, float] | None = None
    offsets: Mapping[str, float] = field(default_factory=dict)

    def per_cost(
        self, scores: Mapping[str, Tensor], alive: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Scores times ``exp(offset) / cost ** exponent``, float64.

        Raises
        ------
        UsageError
            If a score is negative (a factor would then rank the wrong way round), or a layer
            costs nothing.
        """
        if self.exponent == 0 and not self.offsets:
            return dict(scores)
        found = {}
        for layer, score in scores.items():
            if bool((score[alive[layer]] < 0).any()):
                by = "cost_exponent above 0" if self.exponent else "score_offsets"
                raise UsageError(f"{by} needs a saliency that is never negative")
            if self.exponent and self.in_ranking[layer] <= 0:
                raise UsageError(
                    f"cost macs: layer {layer!r} takes no multiply-adds to divide its scores by; "
                    'exclude it, or take cost = "parameters" or cost_exponent = 0'
                )
            raised = score.double() * math.exp(self.offsets.get(layer, 0.0))
            found[layer] = raised / self.in_ranking[layer] ** self.exponent
        return found


def weight_costs(
    cost: str,
    exponent: float,
    budget: str,
    macs: Mapping[str, float],
    totals: Mapping[str, int],
    offsets: Mapping[str, float] = NO_OFFSETS,
) -> WeightCosts | None:
    """What weights of different layers are worth beside each other, as a plan's fields say it.

    Parameters
    ----------
    cost
        ``"parameters"`` (every weight 1) or ``"macs"``: by what scores are divided.
    exponent
        Of it, from 0.
    budget
        ``"weights"`` or ``"macs"``: in what the target counts.
    macs
        Dense multiply-adds of one example by layer; NaN where they could not be counted.
    totals
        Weights by layer.
    offsets
        Of the logarithm of scores, by names or patterns of layers.

    Returns
    -------
    WeightCosts or None
        None where weights of all layers are worth what their scores say.

    Raises
    ------
    UsageError
        If multiply-adds are asked for and those of a layer are not known, or an offset is of no
        layer.
    """
    in_macs = budget == "macs"
    if not (exponent or in_macs or offsets):
        return None
    ones = dict.fromkeys(totals, 1.0)
    by_macs = ones
    if in_macs or (exponent and cost == "macs"):
        asked_by = "budget" if in_macs else "cost"
        for layer in totals:
            if math.isnan(macs[layer]):
                raise UsageError(
                    f"{asked_by} macs: the multiply-adds of layer {layer!r} could not all be "
                    "counted; exclude the layer, or count parameters and weights instead"
                )
        by_macs = {layer: macs[layer] / total for layer, total in totals.items()}
    return WeightCosts(
        by_macs if cost == "macs" else ones,
        exponent,
        by_macs if in_macs else None,
        resolve_patterns(offsets, list(totals), "score_offsets"),
    )


def cost_to_keep(sparsity: float, costs: Sequence[float], totals: Sequence[int]) -> float:
    """What may be kept in all, in units of cost; rounding alone never takes a weight."""
    whole = sum(cost * total for cost, total in zip(costs, totals, strict=True))
    return (1.0 - sparsity + ROUNDING) * whole


def keep_within(scores: Tensor, costs: Tensor, alive: Tensor, budget: float) -> Tensor:
    """Mask of the highest scores that together cost no more than a budget.

    Weights are taken from the highest score down, of equal scores those with the lower index
    first, until the next would pass the budget. So what is kept never costs more, and less by
    less than one weight of the costliest layer.

    Parameters
    ----------
    scores, costs, alive
        Of the same shape. What is not alive is never kept.
    budget
        Sum of costs.
    """
    places = alive.flatten().nonzero().flatten()
    order = places[scores.flatten()[places].argsort(descending=True, stable=True)]
    fits = costs.flatten()[order].double().cumsum(0) <= budget
    keep = torch.zeros(alive.numel(), dtype=torch.bool, device=alive.device)
    keep[order[fits]] = True
    return keep.view_as(alive)


def apportion_cost(
    shares: Sequence[float],
    lower: Sequence[int],
    upper: Sequence[int],
    costs: Sequence[float],
    budget: float,
) -> list[int]:
    """Numbers in proportion to ``shares`` within bounds that together cost a budget.

    As :func:`~study.pruning.selection.ranking.apportion`, but for what the numbers cost. They are
    rounded down, and one more is added by largest remainder where it fits: what is kept never
    costs more than the budget, and less by less than one of the costliest.

    Parameters
    ----------
    shares
        Positive.
    lower, upper
        Bounds of each number.
    costs
        Of one of each.
    budget
        Sum of ``number * cost``.

    Raises
    ------
    ValueError
        If the lower bounds alone cost more.
    """
    if _sum(lower, costs) > budget:
        raise ValueError(f"{_sum(lower, costs):g} is above {budget:g}")
    ideal = scaled_within(shares, lower, upper, costs, budget)
    counts = [min(int(value + 1e-6), high) for value, high in zip(ideal, upper, strict=True)]
    left = budget - _sum(counts, costs)
    for index in sorted(range(len(ideal)), key=lambda i: counts[i] - ideal[i]):
        if counts[index] < upper[index] and costs[index] <= left:
            counts[index] += 1
            left -= costs[index]
    return counts


def _sum(counts: Sequence[float], costs: Sequence[float]) -> float:
    return sum(count * cost for count, cost in zip(counts, costs, strict=True))
