"""The items of the highest summed value that a budget pays for.

Items may be weights, channels, heads or blocks: what matters is a value and a cost of each.
"""

from __future__ import annotations

from functools import reduce
from math import gcd

import torch
from torch import Tensor

MOST_CELLS = 2_000_000
"""Items times units of the budget up to which the optimum is found exactly."""

_WHOLE = 1e-9
"""Distance from a whole number that is rounding."""


def knapsack(values: Tensor, costs: Tensor, budget: float, keep: Tensor | None = None) -> Tensor:
    """Choose items of the highest summed value within a budget.

    Where costs are whole numbers and items times budget (in units of the costs' greatest common
    divisor) are no more than :data:`MOST_CELLS`, by dynamic programming: no other choice has a
    higher sum. Otherwise by ``value / cost`` from the highest down, until one does not fit, and
    then what else fits, in the same order. The first part alone is the optimum of the relaxed
    problem, in which parts of items may be taken, but for the part of the first item that does not
    fit: so the sum falls short of the optimum by less than that item's value: for single
    weights that is one weight in all, and nothing where all costs are equal.

    Parameters
    ----------
    values
        Shape (items,), none negative.
    costs
        Shape (items,), none negative; those of items that cost nothing are always chosen.
    budget
        Sum of the costs that may be chosen.
    keep
        Bool, shape (items,): items that are chosen in any case.

    Returns
    -------
    Tensor
        Bool, shape (items,). Of items that are alike those with the lower index are chosen.

    Raises
    ------
    ValueError
        If a value or cost is negative or not finite, or what is kept in any case costs more than
        the budget.

    References
    ----------
    Dantzig 1957, "Discrete-Variable Extremum Problems"; Shen et al. 2022, "Structural Pruning via
    Latency-Saliency Knapsack" (HALP).
    """
    values, costs = values.double(), costs.double()
    for name, numbers in (("value", values), ("cost", costs)):
        if not bool((torch.isfinite(numbers) & (numbers >= 0)).all()):
            raise ValueError(f"every {name} must be finite and at least 0")
    chosen = torch.zeros_like(values, dtype=torch.bool) if keep is None else keep.clone()
    left = budget - float(costs[chosen].sum())
    if left < 0:
        raise ValueError(f"what is kept in any case costs {budget - left:g}, more than {budget:g}")
    chosen |= costs == 0
    rest = (~chosen).nonzero().flatten()
    if not len(rest):
        return chosen
    scale = _unit(costs[rest])
    units = int((left / scale) * (1 + _WHOLE)) if scale else 0
    if scale and len(rest) * (units + 1) <= MOST_CELLS:
        whole = (costs[rest] / scale).round().long()
        best = _exact(values[rest].flip(0), whole.flip(0), units).flip(0)
    else:
        best = _by_ratio(values[rest], costs[rest], left)
    chosen[rest[best]] = True
    return chosen


def _unit(costs: Tensor) -> int:
    """Greatest common divisor of costs that are whole numbers, else 0."""
    whole = costs.round()
    if bool(((costs - whole).abs() > _WHOLE * costs.clamp_min(1)).any()):
        return 0
    return reduce(gcd, (int(cost) for cost in whole.unique().tolist()))


def _exact(values: Tensor, costs: Tensor, units: int) -> Tensor:
    """Dynamic programming over the budget; of equal sums, the one with later items."""
    best = torch.zeros(units + 1, dtype=torch.float64, device=values.device)
    takes = torch.zeros(len(values), units + 1, dtype=torch.bool, device=values.device)
    for item, cost in enumerate(costs.tolist()):
        if cost > units:
            continue
        with_it = best[: units + 1 - cost] + values[item]
        takes[item, cost:] = with_it >= best[cost:]
        best[cost:] = torch.maximum(best[cost:], with_it)
    chosen = torch.zeros_like(values, dtype=torch.bool)
    left = units
    for item in reversed(range(len(values))):
        if takes[item, left]:
            chosen[item] = True
            left -= int(costs[item])
    return chosen


def _by_ratio(values: Tensor, costs: Tensor, budget: float) -> Tensor:
    order = (values / costs).argsort(descending=True, stable=True)
    chosen = torch.zeros_like(values, dtype=torch.bool)
    while len(order):
        fits = costs[order].cumsum(0) <= budget
        # Behind one that did not fit, a cheaper one may: only the run before it is taken.
        chosen[order[fits]] = True
        budget -= float(costs[order[fits]].sum())
        order = order[~fits]
        order = order[costs[order] <= budget]
    return chosen
