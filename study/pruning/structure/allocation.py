"""Which units go: how a sparsity is divided over the structures of a network.

Units are taken one after the other, or so many at a time as widths are to be multiples of, from
the structure that the allocation says, those of the lowest scores first, until no more is left
than was asked for. What a unit costs is reckoned anew each time: it falls as its neighbours go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from study.errors import UsageError, unknown_name
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.selection.lamp import lamp_scores
from study.pruning.selection.ranking import keep_best
from study.pruning.structure.budgets.budgeted import knapsack_left
from study.pruning.structure.budgets.sensitivity import sensitivity
from study.pruning.structure.request import UnitRequest, Worth, refuse_unreachable
from study.pruning.structure.sizes import units_left
from study.pruning.structure.units import Structure


def cut_units(allocation: str, request: UnitRequest) -> dict[str, Tensor]:
    """Divide a cut over the structures.

    Parameters
    ----------
    allocation
        A name of :data:`UNIT_ALLOCATIONS`, ``knapsack`` or ``per_layer``.
    request
        Scores, what is left, and the target.

    Returns
    -------
    dict of str to Tensor
        Which units are left: bool, (units,). Of equal scores the first ones are kept.

    Raises
    ------
    UsageError
        If the allocation or a structure is unknown, or the floors make the target unreachable.
    """
    if allocation == "per_layer":
        return _per_layer(request)
    if allocation not in (*UNIT_ALLOCATIONS, "knapsack"):
        known = [*UNIT_ALLOCATIONS, "knapsack", "per_layer"]
        raise unknown_name("allocation of channels", allocation, known)
    assert isinstance(request.sparsity, float)
    target = (1.0 - request.sparsity) * request.sizes.total(
        {structure.name: structure.units for structure in request.structures}
    )
    if allocation == "knapsack":
        return _keep(request, knapsack_left(request, target))
    worth = UNIT_ALLOCATIONS[allocation](request)
    left = units_left(request.alive)
    while request.sizes.total(left) > target * (1 + 1e-9):
        cuts = [
            (worth(structure, left, cut), place, cut)
            for place, structure in enumerate(request.structures)
            if (cut := request.next_cut(structure, left[structure.name]))
        ]
        if not cuts:
            refuse_unreachable(request, left)
            break
        _, place, cut = min(cuts)
        left[request.structures[place].name] -= cut
    return _keep(request, left)


def _per_layer(request: UnitRequest) -> dict[str, Tensor]:
    """Each named structure to its own share of units."""
    assert isinstance(request.sparsity, Mapping)
    names = [structure.name for structure in request.structures]
    sparsity = resolve_patterns(request.sparsity, names)
    left = units_left(request.alive)
    for structure in request.structures:
        wide = request.width_at(structure, sparsity.get(structure.name, 0.0))
        left[structure.name] = min(wide, left[structure.name])
    return _keep(request, left)


def _keep(request: UnitRequest, left: Mapping[str, int]) -> dict[str, Tensor]:
    return {
        structure.name: keep_best(
            request.scores[structure.name].cpu(),
            request.alive[structure.name].cpu(),
            left[structure.name],
        )
        for structure in request.structures
    }


def uniform(request: UnitRequest) -> Worth:
    """The same share of every structure."""
    return lambda structure, left, cut: 1.0 - (left[structure.name] - cut) / structure.units


def global_(request: UnitRequest) -> Worth:
    """One ranking over all structures, of scores over the mean score of their structure."""
    scores = {s.name: _over_mean(request.scores[s.name]) for s in request.structures}
    return _by_score(request, scores)


def lamp(request: UnitRequest) -> Worth:
    """One ranking of scores that say how much of its structure a unit is (Lee et al. 2021)."""
    scores = {
        s.name: lamp_scores(request.scores[s.name], request.alive[s.name])
        for s in request.structures
    }
    return _by_score(request, scores)


def isomorphic(request: UnitRequest) -> Worth:
    """The same share of all structures of one form; among these one ranking.

    References
    ----------
    Fang et al. 2024, "Isomorphic Pruning for Vision Models", section 3.2.
    """
    ranking = global_(request)
    alike: dict[str, list[Structure]] = {}
    for structure in request.structures:
        alike.setdefault(structure.alike, []).append(structure)

    def worth(structure: Structure, left: Mapping[str, int], cut: int) -> float:
        group = alike[structure.alike]
        units = sum(each.units for each in group)
        gone = units - sum(left[each.name] for each in group) + cut
        own = ranking(structure, left, cut)
        rank = sum(
            ranking(each, left, further) < own
            for each in group
            if (further := request.next_cut(each, left[each.name]))
        )
        return gone / units + rank  # a whole number: after every first of another form

    return worth


def global_raw(request: UnitRequest) -> Worth:
    """One ranking of the scores as they are, for such as say what the loss would lose."""
    return _by_score(request, {s.name: request.scores[s.name] for s in request.structures})


UNIT_ALLOCATIONS: dict[str, Callable[[UnitRequest], Worth]] = {
    "uniform": uniform,
    "global": global_,
    "global_raw": global_raw,
    "lamp": lamp,
    "isomorphic": isomorphic,
    "sensitivity": sensitivity,
}


RANKINGS = ("global", "global_raw", "lamp", "isomorphic", "knapsack")
"""Those by which scores decide how narrow a structure gets, and might leave one unit of many."""


def _by_score(request: UnitRequest, scores: Mapping[str, Tensor]) -> Worth:
    """The mean score of the units that would go next, over what one of them costs.

    Raises
    ------
    UsageError
        If scores are to be multiplied and some are negative: they would rank the wrong way round.
    """
    if request.cost_exponent or request.offsets:
        for name, values in scores.items():
            if bool((values[request.alive[name]] < 0).any()):
                by = "cost_exponent above 0" if request.cost_exponent else "score_offsets"
                raise UsageError(
                    f"{by} needs a saliency that is never negative, which that of the channels of "
                    f"{name!r} is"
                )
    ranked = replace(request, scores=scores)
    factors = {s.name: math.exp(request.offsets.get(s.name, 0.0)) for s in request.structures}
    ascending = {s.name: ranked.ascending(s.name).tolist() for s in request.structures}

    def worth(structure: Structure, left: Mapping[str, int], cut: int) -> float:
        own = ascending[structure.name]
        first = len(own) - left[structure.name]
        score = sum(own[first : first + cut]) / cut * factors[structure.name]
        if request.cost_exponent == 0.0:
            return float(score)
        saved = request.cost.saved(left, structure.name, cut) / cut
        if saved <= 0.0:
            return math.inf
        return float(score / saved**request.cost_exponent)

    return worth


def _over_mean(scores: Tensor) -> Tensor:
    mean = scores.double().mean()
    return scores.double() / mean if bool(mean != 0) else scores.double()
