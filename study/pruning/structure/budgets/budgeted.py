"""Units of the highest summed saliency under a budget, which falls step by step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from study.pruning.selection.knapsack import knapsack
from study.pruning.structure.request import UnitRequest, unreachable
from study.pruning.structure.sizes import units_left

STEP = 0.9
"""Share of the present cost that a step leaves: what units cost is renewed after each."""


def knapsack_left(request: UnitRequest, target: float) -> dict[str, int]:
    """How many units of each structure stay, by a knapsack over what is left.

    A unit's value is its score and its cost what it would save now; since that falls as its
    neighbours go, the budget comes down in steps of a tenth, and costs are renewed after each.

    Parameters
    ----------
    request
        Scores, none negative, and what is left.
    target
        The cost to come down to.

    References
    ----------
    Shen et al. 2022, "Structural Pruning via Latency-Saliency Knapsack" (HALP), algorithm 1.
    """
    left = units_left(request.alive)
    while (total := request.sizes.total(left)) > target * (1 + 1e-9):
        fewer = _step(request, left, total - max(target, STEP * total))
        if fewer == left:
            raise unreachable(request, left)
        left = fewer
    return left


def _step(request: UnitRequest, left: Mapping[str, int], to_save: float) -> dict[str, int]:
    """Take out at least what is to be saved by present costs, or all that may go."""
    names: list[str] = []
    values, costs = [], []
    sizes: list[int] = []
    for structure in request.structures:
        ascending = request.ascending(structure.name)
        first = len(ascending) - left[structure.name]
        remaining = left[structure.name]
        while cut := request.next_cut(structure, remaining):
            names.append(structure.name)
            sizes.append(cut)
            values.append(float(ascending[first : first + cut].sum()))
            costs.append(request.sizes.saved(left, structure.name, cut))
            first, remaining = first + cut, remaining - cut
    if not names:
        return dict(left)
    cost = torch.tensor(costs, dtype=torch.float64)
    stays: Tensor = knapsack(
        torch.tensor(values, dtype=torch.float64), cost, max(float(cost.sum()) - to_save, 0.0)
    )
    fewer = dict(left)
    for name, size, chosen in zip(names, sizes, stays.tolist(), strict=True):
        if not chosen:
            fewer[name] -= size
    return fewer
