"""The allocation that a sensitivity scan speaks for: least summed drop under a budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean

from study.errors import UsageError
from study.records import SensitivityRecord


def additive_optimum(
    records: Sequence[SensitivityRecord], totals: Mapping[str, int], sparsity: float
) -> dict[str, float]:
    """Sparsity of each layer such that the scan's drops add up to the least.

    Each layer's curve of mean drop against weights removed is replaced by its lower
    convex hull, and weights are taken where they cost least until the budget is met: the exact
    optimum over the hulls. All layers but one end at a scanned level.

    Parameters
    ----------
    records
        A scan, of one or several seeds. A drop that is not finite rules its level, and all above
        it, out. A layer without records stays dense.
    totals
        Weights of each prunable layer.
    sparsity
        Share of all of them to remove, in [0, 1).

    Returns
    -------
    dict
        Sparsity by layer; over all layers they remove exactly ``sparsity``.

    Raises
    ------
    UsageError
        If the scan does not go far enough to remove that much.

    References
    ----------
    Bercovich et al. 2024, "Puzzle", arXiv:2411.19146: additive scores under a budget; there as a
    mixed-integer program.
    """
    budget = sparsity * sum(totals.values())
    removed = dict.fromkeys(totals, 0.0)
    curves = {layer: _curve(records, layer) for layer in totals}
    pieces = [
        (cost, place, layer, amount)
        for layer, total in totals.items()
        for place, (cost, amount) in enumerate(_pieces(curves[layer], total))
    ]
    for _, _, layer, amount in sorted(pieces):
        taken = min(amount, budget)
        removed[layer] += taken
        budget -= taken
    if budget > 1e-6:
        reached = sparsity - budget / sum(totals.values())
        raise UsageError(
            f"sparsity: {sparsity:g} is more than the scanned levels reach together; they reach "
            f"{reached:.3g}"
        )
    return {
        layer: min(amount / totals[layer], curves[layer][-1][0])  # not past it by a rounding error
        for layer, amount in removed.items()
    }


def _curve(records: Sequence[SensitivityRecord], layer: str) -> list[tuple[float, float]]:
    """Level and mean drop of a layer, from (0, 0), up to where a drop is no number."""
    drops: dict[float, list[float]] = {}
    for record in records:
        if record.layer == layer and record.sparsity > 0:
            drops.setdefault(record.sparsity, []).append(record.drop)
    curve = [(0.0, 0.0)]
    for level in sorted(drops):
        drop = fmean(drops[level])
        if drop != drop:
            break
        curve.append((level, drop))
    return curve


def _pieces(curve: Sequence[tuple[float, float]], total: int) -> list[tuple[float, float]]:
    """Cost per weight and weights of each straight piece of the lower convex hull."""
    hull: list[tuple[float, float]] = []
    for point in curve:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    return [(_slope(a, b) / total, (b[0] - a[0]) * total) for a, b in itertools.pairwise(hull)]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])
