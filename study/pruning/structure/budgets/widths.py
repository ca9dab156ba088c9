"""Widths of the highest summed score that a budget pays for: all tried, or two at a time moved."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from study.pruning.structure.sizes import Measure, Sizes

MOST_NETWORKS = 1_000_000
"""Networks that are all tried where their cost is a formula; beyond it, a search."""

MOST_LOOKED_UP = 2_000
"""The same where each network's cost is looked up on its own, as in a table of times."""

REACH = 16
"""Widths to either side of the present one that a move of two structures tries."""

REACH_LOOKED_UP = 2
"""The same where each network's cost is looked up, and may have to be measured first."""

_Number = TypeVar("_Number", np.int64, np.float64)

_ROUNDING = 1e-9
"""Share of a cost or a sum that is rounding."""


class Curve(NamedTuple):
    """What a structure may be left with, narrowest first.

    Parameters
    ----------
    widths
        Units that are left, int64, (widths,).
    values
        The summed scores of the best so many, float64, (widths,).
    """

    widths: NDArray[np.int64]
    values: NDArray[np.float64]


def improved(
    curves: Mapping[str, Curve], measure: Measure, target: float, left: Mapping[str, int]
) -> dict[str, int]:
    """Widths within a budget whose summed score is as high as can be found.

    Where there are no more than :data:`MOST_NETWORKS` networks (:data:`MOST_LOOKED_UP`, where their
    cost is no formula) all are compared, and none within the budget has a higher sum. Otherwise
    from several starts any two structures are given the best widths for what the others have, up
    to :data:`REACH` widths away, until no two can be bettered; the best end is taken.

    Parameters
    ----------
    curves
        By structure.
    measure
        What a network costs; it falls with each structure's width, but not by as much everywhere.
    target
        The most that it may cost.
    left
        Widths within the budget.

    Returns
    -------
    dict of str to int
        ``left``, where nothing better was found.
    """
    is_formula = isinstance(measure, Sizes)
    movable = [name for name, curve in curves.items() if len(curve.widths) > 1]
    networks = 1
    for name in movable:
        networks *= len(curves[name].widths)
    found = dict(left)
    if networks <= (MOST_NETWORKS if is_formula else MOST_LOOKED_UP):
        return _better(curves, measure, target, found, movable, None) or found
    starts = [found]
    if is_formula:
        starts += [_shared(curves, measure, target), _filled(curves, measure, target)]
    reach = REACH if is_formula else REACH_LOOKED_UP
    ends = [_moved(curves, measure, target, start, movable, reach) for start in starts]
    return max(ends, key=lambda end: _value(curves, end))


def _moved(
    curves: Mapping[str, Curve],
    measure: Measure,
    target: float,
    left: dict[str, int],
    movable: Sequence[str],
    reach: int,
) -> dict[str, int]:
    """Any two structures at the best widths for what the others have."""
    last: tuple[str, ...] | None = None
    for pair in itertools.cycle(itertools.combinations(movable, 2)):
        if pair == last:
            break  # once around since anything became better
        if (better := _better(curves, measure, target, left, pair, reach)) is not None:
            left, last = better, pair
        elif last is None:
            last = pair
    return left


def _better(
    curves: Mapping[str, Curve],
    measure: Measure,
    target: float,
    left: dict[str, int],
    names: Sequence[str],
    reach: int | None,
) -> dict[str, int] | None:
    """The best widths of some structures, the others as they are; None where no better fit."""
    own = [_near(curves[name], left[name], reach) for name in names]
    shape = [len(curve.widths) for curve in own]
    values = np.zeros(shape)
    for curve, axis in zip(own, range(len(own)), strict=True):
        values = values + _along(curve.values, axis, len(own))
    now = _value({name: curves[name] for name in names}, left)
    better = np.flatnonzero(values > now + _ROUNDING * abs(now))
    # Of equal sums the first, narrower in the first structures.
    better = better[np.argsort(-values.ravel()[better], kind="stable")]

    def network(place: int) -> dict[str, int]:
        places = np.unravel_index(place, shape)
        chosen = {
            name: int(curve.widths[p]) for name, curve, p in zip(names, own, places, strict=True)
        }
        return {**left, **chosen}

    if isinstance(measure, Sizes):
        widths = {
            name: _along(curve.widths, axis, len(own))
            for axis, (name, curve) in enumerate(zip(names, own, strict=True))
        }
        costs = np.broadcast_to(measure.totals({**left, **widths}), shape).ravel()[better]
        better = better[costs <= target * (1 + _ROUNDING)][:1]
        return network(int(better[0])) if len(better) else None
    for place in better.tolist():
        if measure.total(tried := network(place)) <= target * (1 + _ROUNDING):
            return tried
    return None


def _near(curve: Curve, width: int, reach: int | None) -> Curve:
    if reach is None:
        return curve
    place = int(np.searchsorted(curve.widths, width))
    window = slice(max(place - reach, 0), place + reach + 1)
    return Curve(curve.widths[window], curve.values[window])


def _along(values: NDArray[_Number], axis: int, axes: int) -> NDArray[_Number]:
    return values.reshape([-1 if each == axis else 1 for each in range(axes)])


def _value(curves: Mapping[str, Curve], left: Mapping[str, int]) -> float:
    return float(
        sum(curve.values[np.searchsorted(curve.widths, left[n])] for n, curve in curves.items())
    )


def _shared(curves: Mapping[str, Curve], measure: Measure, target: float) -> dict[str, int]:
    """The widest network within the budget of which each structure has about the same share."""

    def at(share: float) -> dict[str, int]:
        return {
            name: int(curve.widths[int(share * (len(curve.widths) - 1))])
            for name, curve in curves.items()
        }

    below, above = 0.0, 1.0
    for _ in range(40):
        middle = (below + above) / 2
        fits = measure.total(at(middle)) <= target * (1 + _ROUNDING)
        below, above = (middle, above) if fits else (below, middle)
    return at(below)


def _filled(curves: Mapping[str, Curve], measure: Measure, target: float) -> dict[str, int]:
    """The narrowest network, filled up by what gains most for what it costs now."""
    places = dict.fromkeys(curves, 0)
    left = {name: int(curve.widths[0]) for name, curve in curves.items()}
    total = measure.total(left)
    while True:
        gains: list[tuple[float, str, int, float]] = []
        for name, curve in curves.items():
            if (place := places[name] + 1) == len(curve.widths):
                continue
            wider = int(curve.widths[place])
            costs = measure.saved({**left, name: wider}, name, wider - left[name])
            if total + costs <= target * (1 + _ROUNDING):
                gain = float(curve.values[place] - curve.values[place - 1])
                gains.append((gain / max(costs, _ROUNDING), name, wider, costs))
        if not gains:
            return left
        _, name, left[name], costs = max(gains, key=lambda each: each[0])
        places[name] += 1
        total += costs
