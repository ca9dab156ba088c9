"""What layers keep beyond what their scores let on, as parameters of the search.

A ranking of the scores of all layers divides a total; an offset of a group of layers multiplies
their scores by its exponential before they are ranked. To move all groups alike changes nothing,
so the largest stays where it is. Most groups should move little or not at all, and so offsets are
drawn normally around 0. Optuna has no such distribution; but each of its samplers draws a quantile
of it evenly, and learns of it as of any other number. At the quantile 0.5 the offset is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

from optuna.distributions import FloatDistribution

from search_spaces.layers import Grouping, Layer, group_layers
from search_spaces.values import Choose

QUANTILES = FloatDistribution(0.005, 0.995)
"""Of an offset's distribution: from -2.58 to 2.58 times its scale."""

_NORMAL = NormalDist()


def draw_offsets(
    choose: Choose, layers: Sequence[Layer], by: Grouping, scale: float
) -> dict[str, float]:
    """Choose an offset for each group of layers but the largest.

    Parameters
    ----------
    choose
        Gives the quantile ``offset_quantile.<group>``.
    layers, by
        The network's prunable layers, and which of them share an offset.
    scale
        Standard deviation of the offsets, of the natural logarithm of scores.

    Returns
    -------
    dict
        By layer; layers whose offset is 0 are left out.
    """
    _, others = _groups(layers, by)
    drawn = {name: scale * _NORMAL.inv_cdf(choose(parameter(name), QUANTILES)) for name in others}
    return {
        layer.name: drawn[name] for name, members in others.items() for layer in members
        if drawn[name] != 0.0
    }  # fmt: skip


def read_offsets(
    layers: Sequence[Layer], by: Grouping, scale: float, offsets: Mapping[str, float]
) -> dict[str, float]:
    """The quantiles of these offsets: the inverse of :func:`draw_offsets`.

    Those of a group's layers are averaged over their weights, and quantiles may lie out of bounds.
    """
    largest, others = _groups(layers, by)
    reference = _pooled(largest, offsets)
    return {
        parameter(name): _NORMAL.cdf((_pooled(members, offsets) - reference) / scale)
        for name, members in others.items()
    }


def parameter(group: str) -> str:
    """Name of a group's parameter."""
    return f"offset_quantile.{group}"


def _groups(layers: Sequence[Layer], by: Grouping) -> tuple[list[Layer], dict[str, list[Layer]]]:
    """The largest group, the first of several, and all others in the order of the network."""
    groups = group_layers(layers, by)
    largest = max(groups, key=lambda name: sum(layer.total for layer in groups[name]))
    return groups.pop(largest), groups


def _pooled(layers: Sequence[Layer], offsets: Mapping[str, float]) -> float:
    values = [offsets.get(layer.name, 0.0) for layer in layers]
    if min(values) == max(values):
        return values[0]  # an average would bring in rounding
    weighted = sum(value * layer.total for value, layer in zip(values, layers, strict=True))
    return weighted / sum(layer.total for layer in layers)
