"""A total density and each layer's share of it, as parameters of the search.

With a parameter for each layer, the total density of random plans clusters where the largest
layer puts it. Here the total is a parameter itself, drawn evenly on a log scale, so that the
search covers the front evenly; and what is learned of the shares at one density serves at others.

A share is an odds ratio. Let ``d`` be the density of a group within its bounds ``(l, u)``. Its
odds are ``(d - l) / (u - d)``, and its share is these odds over those of the largest group, whose
share is 1. Given the shares, one number is free, the odds of the largest group; it is found by
bisection (water filling) such that the total is met. As odds are positive whatever they are, no
bound is ever overstepped, so nothing is clipped and every plan strictly within the bounds belongs
to exactly one point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from optuna.distributions import FloatDistribution

from search_spaces.per_layer import Group
from search_spaces.values import Choose, Numbers, Range, draw, options

SHARES = (0.01, 100.0)
"""Range of a share: the odds of a layer over those of the largest."""

MARGIN = 0.001
"""How far a total stays from the least and most possible, as a part of their distance. At the
ends every layer is at its bound, and shares are of no effect."""


def draw_projected(choose: Choose, groups: Sequence[Group], density: Numbers) -> dict[str, float]:
    """Choose a total density, and the share of each group but the largest.

    Returns
    -------
    dict
        Sparsity by layer; over all weights it is one minus the total density.

    Raises
    ------
    ValueError
        If the bounds of the layers leave no room for the total.
    """
    return draw_shares(choose, groups, draw(choose, "density", within_reach(density, groups)))


def draw_shares(choose: Choose, groups: Sequence[Group], total: float) -> dict[str, float]:
    """Choose the share of each group but the largest, of a total density within reach."""
    free = free_groups(groups)
    log_shares = [0.0] + [
        math.log(choose(f"share.{group.name}", FloatDistribution(*SHARES, log=True)))
        for group in free[1:]
    ]
    levels = {group.name: group.low for group in groups}
    levels |= project(free, log_shares, total * _weights(groups) - _fixed(groups))
    return {layer.name: levels[group.name] for group in groups for layer in group.layers}


def read_projected(groups: Sequence[Group], sparsity: Mapping[str, float]) -> dict[str, float]:
    """Total density and shares of a plan: the inverse of :func:`draw_projected`."""
    kept = sum((1.0 - group.pooled(sparsity)) * group.total for group in groups)
    parameters = {"density": kept / _weights(groups)}
    free = free_groups(groups)
    log_odds = [_log_odds(group, group.pooled(sparsity)) for group in free]
    for group, own in zip(free[1:], log_odds[1:], strict=True):
        # Both at a bound: the difference of infinities is no number, and any share will do.
        log_share = 0.0 if own == log_odds[0] else min(max(own - log_odds[0], -50.0), 50.0)
        parameters[f"share.{group.name}"] = math.exp(log_share)
    return parameters


def project(groups: Sequence[Group], log_shares: Sequence[float], kept: float) -> dict[str, float]:
    """Sparsities within the bounds that have these shares and keep so many weights.

    Parameters
    ----------
    groups
        Groups whose bounds differ.
    log_shares
        Logarithm of each group's odds over those of a common reference.
    kept
        Weights to keep in all, strictly between the least and most that the bounds allow.

    Returns
    -------
    dict
        Sparsity by group.
    """

    def at(level: float) -> list[float]:
        return [
            group.high - (group.high - group.low) / (1.0 + math.exp(-(share + level)))
            for group, share in zip(groups, log_shares, strict=True)
        ]

    def excess(level: float) -> float:
        return (
            math.fsum((1.0 - s) * group.total for s, group in zip(at(level), groups, strict=True))
            - kept
        )

    below, above = -100.0, 100.0
    while below < (middle := (below + above) / 2) < above:
        below, above = (middle, above) if excess(middle) < 0 else (below, middle)
    return {group.name: s for group, s in zip(groups, at(above), strict=True)}


def free_groups(groups: Sequence[Group]) -> list[Group]:
    """Groups that have a choice, the largest first: it is the reference of all shares."""
    return sorted((g for g in groups if g.low < g.high), key=lambda g: g.total, reverse=True)


def within_reach(density: Numbers, groups: Sequence[Group]) -> Numbers:
    """The total densities that the bounds of the layers allow; the ends of a range give way.

    Raises
    ------
    ValueError
        If none does, or one of several that were named does not.
    """
    low, high = reach(groups)
    if isinstance(density, Range) and density.step is None:
        inside = replace(density, low=max(density.low, low), high=min(density.high, high))
        if inside.low < inside.high:
            return inside
    elif all(low <= value <= high for value in options(density)):
        return density
    raise ValueError(
        f"space.density {options(density)}: the bounds of the layers allow a total density from "
        f"{low:.4g} to {high:.4g}"
    )


def reach(groups: Sequence[Group]) -> tuple[float, float]:
    """The least and most total density at which the shares of the layers are of an effect.

    Raises
    ------
    ValueError
        If no layer has a choice.
    """
    if not free_groups(groups):
        raise ValueError("space.per_layer.bounds leave no layer a choice of sparsity")
    least = least_density(groups)
    most = sum((1.0 - group.low) * group.total for group in groups) / _weights(groups)
    return least + MARGIN * (most - least), most - MARGIN * (most - least)


def least_density(groups: Sequence[Group]) -> float:
    """Total density where each group is as sparse as its bounds allow."""
    return sum((1.0 - group.high) * group.total for group in groups) / _weights(groups)


def _weights(groups: Sequence[Group]) -> int:
    return sum(group.total for group in groups)


def _fixed(groups: Sequence[Group]) -> float:
    return sum((1.0 - group.low) * group.total for group in groups if group.low == group.high)


def _log_odds(group: Group, sparsity: float) -> float:
    above, below = group.high - sparsity, sparsity - group.low
    if above <= 0 or below <= 0:
        return -math.inf if above <= 0 else math.inf
    return math.log(above) - math.log(below)
