"""Units of the highest summed saliency under a budget."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from study.errors import UsageError
from study.pruning.selection.choices import Choice, dearest, least_loss
from study.pruning.structure.budgets.widths import Curve, improved
from study.pruning.structure.request import UnitRequest, refuse_unreachable
from study.pruning.structure.sizes import units_left
from study.pruning.structure.units import Structure

STEP = 0.9
"""Share of the present cost that a step leaves: what units cost is renewed after each."""


def knapsack_left(request: UnitRequest, target: float) -> dict[str, int]:
    """How many units of each structure stay: those of the highest summed score that fit.

    The value of units is their scores. First by a knapsack over what is left: what a structure's
    narrower widths would save is reckoned with all others as they are; since that falls as the
    neighbours go, the budget comes down in steps of a tenth, and costs are renewed after each.
    What comes of it keeps less than it might; so then widths are compared by what networks really
    cost, all of them where they are few
    (:func:`study.pruning.structure.budgets.widths.improved`).

    Parameters
    ----------
    request
        Scores, none negative, and what is left.
    target
        The cost to come down to.

    Raises
    ------
    UsageError
        If a score is negative, or the floors make the target unreachable.

    References
    ----------
    Shen et al. 2022, "Structural Pruning via Latency-Saliency Knapsack" (HALP), algorithm 1.
    """
    for name in request.alive:
        if bool((request.ascending(name) < 0).any()):
            raise UsageError("allocation knapsack needs a saliency that is never negative")
    left = units_left(request.alive)
    if request.sizes.total(left) <= target * (1 + 1e-9):
        return left
    curves = {s.name: _curve(request, s, left[s.name]) for s in request.structures}
    while (total := request.sizes.total(left)) > target * (1 + 1e-9):
        fewer = _step(request, left, total - max(target, STEP * total))
        if fewer == left:
            refuse_unreachable(request, left)
            break
        left = fewer
    return improved(curves, request.sizes, target, left)


def _curve(request: UnitRequest, structure: Structure, now: int) -> Curve:
    widths = [now]
    while cut := request.next_cut(structure, widths[-1]):
        widths.append(widths[-1] - cut)
    best_first = request.ascending(structure.name).flip(0).numpy()
    summed = np.concatenate(([0.0], np.cumsum(best_first)))
    narrowest_first = np.array(widths[::-1], dtype=np.int64)
    return Curve(narrowest_first, summed[narrowest_first])


def _step(request: UnitRequest, left: Mapping[str, int], to_save: float) -> dict[str, int]:
    """Take out at least what is to be saved by present costs, or what saves the most."""
    widths: list[list[int]] = []
    choices: list[list[Choice]] = []
    for structure in request.structures:
        ascending = request.ascending(structure.name)
        now = left[structure.name]
        own, lost = [now], [Choice(0.0, 0.0)]
        while cut := request.next_cut(structure, own[-1]):
            own.append(own[-1] - cut)
            # The lowest scores lie first; some units may have gone in an earlier step.
            first = len(ascending) - now
            gone = now - own[-1]
            lost.append(
                Choice(
                    float(ascending[first : first + gone].sum()),
                    request.sizes.saved(left, structure.name, gone),
                )
            )
        widths.append(own)
        choices.append(lost)
    chosen = least_loss(choices, to_save) or dearest(choices)
    return {
        structure.name: own[place]
        for structure, own, place in zip(request.structures, widths, chosen, strict=True)
    }
