"""The trade-off so far as a small plot of characters."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from study.records import MetricRecord
from study.telling import SIZE_NAMES, scale, value_text

LEAST_SPAN = 0.02
"""Of the quality that the plot spans at least, so that noise does not fill it."""

WORST_SHOWN = 0.2
"""Worse than the best from which on networks are not shown."""


class Network(NamedTuple):
    """A network's size, and its quality in the metric's own unit."""

    size: float
    quality: float


def compact(metric: MetricRecord, value: float) -> str:
    """A value where there is little room: 94.3%."""
    return value_text(metric, value).replace(" %", "%")


def front_plot(
    networks: Sequence[Network],
    front: Collection[Network],
    metric: MetricRecord,
    size: str,
    width: int,
    height: int,
    plain: bool = False,
) -> list[str]:
    """Draw networks and their front: size on a logarithmic axis, falling to the right.

    Parameters
    ----------
    networks
        Those found so far.
    front
        Which of them are on the front.
    metric
        What their quality is; better is higher up.
    size
        The column that their size is of.
    width, height
        Characters that the plot may take, its axes included.
    plain
        Use ASCII alone.

    Returns
    -------
    list of str
        Lines; none where there is nothing to draw yet, or no room.
    """
    usable = [each for each in networks if each.size > 0 and math.isfinite(each.quality)]
    rows = height - 2
    if not usable or rows < 3:
        return []
    sign = 1.0 if metric.direction == "max" else -1.0
    best = max(sign * each.quality for each in usable)
    unit = max(scale(metric, best), 1e-9)
    shown = [each for each in usable if sign * each.quality >= best - WORST_SHOWN * unit]
    bottom = min(min(sign * each.quality for each in shown), best - LEAST_SPAN * unit)
    largest = 1.0 if size == "density" else max(each.size for each in shown)
    smallest = min(min(each.size for each in shown), largest / 2)
    labels = {0: compact(metric, sign * best), rows - 1: compact(metric, sign * bottom)}
    margin = max(7, *map(len, labels.values()))
    columns = width - margin - 2
    if columns < 16:
        return []
    grid = [[" "] * columns for _ in range(rows)]
    dot, mark, side, floor = (".", "o", "|", "-") if plain else ("·", "●", "│", "─")

    def place(network: Network) -> tuple[int, int]:
        across = math.log(min(network.size, largest) / largest) / math.log(smallest / largest)
        up = (sign * network.quality - bottom) / (best - bottom)
        return round((1 - up) * (rows - 1)), round(across * (columns - 1))

    for networks_shown, symbol in ((shown, dot), ([e for e in shown if e in front], mark)):
        for network in networks_shown:
            row, column = place(network)
            grid[row][column] = symbol
    lines = [
        f"{labels.get(row, ''):>{margin}} {side}{''.join(cells)}" for row, cells in enumerate(grid)
    ]
    left, right = f"{largest:.3g}", f"{smallest:.3g}"
    name = "density kept" if size == "density" else SIZE_NAMES[size]
    room = columns - len(left) - len(right)
    axis = f"{left}{name if room > len(name) + 1 else '':^{room}}{right}"
    below = f"{'':>{margin}} {'+' if plain else '└'}{floor * columns}"
    return [*lines, below, f"{'':>{margin + 2}}{axis}"]
