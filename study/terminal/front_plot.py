"""The trade-off so far as a small plot of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

Network = tuple[float, float]
"""Density, and accuracy as a fraction."""

LEAST_SPAN = 0.02
"""Accuracy that the plot spans at least, so that noise does not fill it."""

WORST_SHOWN = 0.2
"""Accuracy below the best from which on networks are not shown."""


def front_of(networks: Sequence[Network]) -> list[Network]:
    """Networks that no other one beats at equal density or less, the sparsest first."""
    front: list[Network] = []
    for density, accuracy in sorted(networks, key=lambda each: (each[0], -each[1])):
        if not front or accuracy > front[-1][1]:
            front.append((density, accuracy))
    return front


def front_plot(
    networks: Sequence[Network], width: int, height: int, plain: bool = False
) -> list[str]:
    """Draw networks and their front: density on a logarithmic axis, falling to the right.

    Parameters
    ----------
    networks
        Density and accuracy of each.
    width, height
        Characters that the plot may take, its axes included.
    plain
        Use ASCII alone.

    Returns
    -------
    list of str
        Lines; none where there is nothing to draw yet, or no room.
    """
    usable = [each for each in networks if each[0] > 0 and math.isfinite(each[1])]
    columns, rows = width - 9, height - 2
    if not usable or columns < 16 or rows < 3:
        return []
    best = max(accuracy for _, accuracy in usable)
    shown = [each for each in usable if each[1] >= best - WORST_SHOWN]
    bottom = min(min(accuracy for _, accuracy in shown), best - LEAST_SPAN)
    sparsest = min(min(density for density, _ in shown), 0.5)
    grid = [[" "] * columns for _ in range(rows)]
    dot, mark, side, floor = (".", "o", "|", "-") if plain else ("·", "●", "│", "─")

    def place(density: float, accuracy: float) -> tuple[int, int]:
        across = math.log(min(density, 1.0)) / math.log(sparsest)
        up = (accuracy - bottom) / (best - bottom)
        return round((1 - up) * (rows - 1)), round(across * (columns - 1))

    for network in shown:
        row, column = place(*network)
        grid[row][column] = dot
    for network in front_of(shown):
        row, column = place(*network)
        grid[row][column] = mark
    labels = {0: f"{best:.1%}", rows - 1: f"{bottom:.1%}"}
    lines = [f"{labels.get(row, ''):>7} {side}{''.join(cells)}" for row, cells in enumerate(grid)]
    right = f"{sparsest:.3g}"
    room = columns - 1 - len(right)
    axis = f"1{'density kept' if room > 13 else '':^{room}}{right}"
    return [*lines, f"{'':>7} {'+' if plain else '└'}{floor * columns}", f"{'':>9}{axis}"]
