"""A front of two costs that grows point by point, and the area that it dominates."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

_FIRST_CHUNK = 256
_LAST_CHUNK = 1 << 16


def area_history(costs: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After which points the dominated area grew, and what it then was.

    Exact, in about n log n: most points of a long search are dominated when they arrive, and
    those are recognised many at a time.

    Parameters
    ----------
    costs
        Two costs of each point, float64 of shape (n, 2), less is better, in order of arrival.
        Points with a value that is not finite are passed over.
    reference
        The corner up to which area counts, shape (2,).

    Returns
    -------
    tuple of ndarray
        Positions in ``costs``, ascending, and the area after each.
    """
    inside = np.flatnonzero(np.isfinite(costs).all(axis=1) & (costs < reference).all(axis=1))
    xs: list[float] = []  # the front: ascending
    ys: list[float] = []  # and descending
    grown: list[int] = []
    areas: list[float] = []
    area, start, size = 0.0, 0, _FIRST_CHUNK
    right, top = float(reference[0]), float(reference[1])
    while start < len(inside):
        chunk = inside[start : start + size]
        start, size = start + size, min(2 * size, _LAST_CHUNK)
        if xs:
            left = np.searchsorted(np.array(xs), costs[chunk, 0], side="right") - 1
            beaten = (left >= 0) & (np.array(ys)[left] <= costs[chunk, 1])
            chunk = chunk[~beaten]
        for position in chunk.tolist():
            x, y = float(costs[position, 0]), float(costs[position, 1])
            gain = _insert(xs, ys, x, y, right, top)
            if gain is not None:
                area += gain
                grown.append(position)
                areas.append(area)
    return np.array(grown, dtype=np.int64), np.array(areas)


def _insert(
    xs: list[float], ys: list[float], x: float, y: float, right: float, top: float
) -> float | None:
    """Put a point on the front; the area gained, or None where it is dominated or equal."""
    left = bisect_right(xs, x) - 1
    if left >= 0 and ys[left] <= y:
        return None
    first = bisect_left(xs, x)
    last = first
    gain, edge, height = 0.0, x, ys[first - 1] if first else top
    while last < len(xs) and ys[last] >= y:
        gain += (xs[last] - edge) * (height - y)
        edge, height = xs[last], ys[last]
        last += 1
    gain += ((xs[last] if last < len(xs) else right) - edge) * (height - y)
    xs[first:last] = [x]
    ys[first:last] = [y]
    return gain
