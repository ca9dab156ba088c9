"""The allocation that a scan of channels speaks for: they go where the quality falls least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import numpy as np

from study.pruning.structure.request import UnitRequest, Worth
from study.pruning.structure.units import Structure


def sensitivity(request: UnitRequest) -> Worth:
    """Drop of the quality that further units would add by the scan, over what they would save.

    Each structure's curve of mean drop against units removed is replaced by its lower convex
    hull, and units go where it rises least for the cost that is saved now, in the measure of
    which the sparsity is a share. Drops are taken to add up, which a scan of one structure at a
    time can't know. Where structures save independently of each other, no network that is as
    small has a lower sum; where they share layers, what units save is reckoned anew after each
    cut, and the sum is near the lowest, not always at it.

    References
    ----------
    Yang et al. 2018, "NetAdapt", takes channels step by step where a measured drop is least; here
    the measurements are of the scan.
    """
    curves = {s.name: convex_curve(request, s) for s in request.structures}

    def worth(structure: Structure, left: Mapping[str, int], cut: int) -> float:
        gone = structure.units - left[structure.name]
        removed, drops = curves[structure.name]
        before, after = np.interp([gone, gone + cut], removed, drops)
        saved = request.sizes.saved(left, structure.name, cut)
        return float((after - before) / saved) if saved > 0.0 else math.inf

    return worth


def convex_curve(request: UnitRequest, structure: Structure) -> tuple[list[float], list[float]]:
    """Units removed, from 0, and the drop there by the lower convex hull of the scan."""
    by_width: dict[int, list[float]] = {}
    for level, drop in request.drops.get(structure.name, ()):
        gone = structure.units - request.width_at(structure, level)
        by_width.setdefault(gone, []).append(drop)
    points = [(0, 0.0), *((gone, fmean(by_width[gone])) for gone in sorted(by_width) if gone)]
    hull: list[tuple[int, float]] = []
    for point in points:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    return [float(gone) for gone, _ in hull], [drop for _, drop in hull]


def _slope(a: tuple[int, float], b: tuple[int, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])
