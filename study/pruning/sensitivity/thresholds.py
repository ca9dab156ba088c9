"""From a scan to what plans go by: the level that each layer tolerates, or its whole curve."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

from study.records import MetricRecord, SensitivityRecord
from study.telling import scale


def sparsity_thresholds(
    records: Iterable[SensitivityRecord], tolerated_drop: float, quality: MetricRecord
) -> dict[str, float]:
    """Highest level of each layer up to which the mean drop of the quality stays tolerable.

    Levels beyond the first that is not tolerable do not count, even where the curve comes back.

    Parameters
    ----------
    records
        Of one or several seeds; drops are averaged over them.
    tolerated_drop
        Of a share or a score as it is, such as 0.01 for one point; of an amount relative to what
        it was before the cut.
    quality
        Metric whose drop it is.
    """
    drops: dict[str, dict[float, list[float]]] = {}
    for record in records:
        layer = drops.setdefault(record.layer, {})
        before = record.metric(quality.column) + record.drop * (
            1 if quality.direction == "max" else -1
        )
        layer.setdefault(record.sparsity, []).append(record.drop / scale(quality, before))
    highest = {}
    for name, curve in drops.items():
        highest[name] = 0.0
        for level in sorted(curve):
            if not sum(curve[level]) / len(curve[level]) <= tolerated_drop + 1e-12:
                break
            highest[name] = level
    return highest


def scanned_drops(
    records: Iterable[SensitivityRecord],
) -> dict[str, tuple[tuple[float, float], ...]]:
    """Mean drop of each layer at each level, as plans of allocation ``sensitivity`` have it.

    A drop that is not finite rules its level, and all above it, out.
    """
    drops: dict[str, dict[float, list[float]]] = {}
    for record in records:
        drops.setdefault(record.layer, {}).setdefault(record.sparsity, []).append(record.drop)
    found = {}
    for layer, curve in drops.items():
        means = [(level, fmean(curve[level])) for level in sorted(curve)]
        broken = [place for place, (_, drop) in enumerate(means) if not math.isfinite(drop)]
        found[layer] = tuple(means[: min(broken, default=len(means))])
    return found
