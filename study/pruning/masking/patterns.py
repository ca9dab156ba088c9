"""Layers by name or pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.layers import look_up, matches
from study.errors import unknown_name


def resolve_patterns(
    values: Mapping[str, float], layers: Sequence[str], field: str = "sparsity"
) -> dict[str, float]:
    """Turn a table of layer names and patterns into one of layers.

    An exact name wins over a pattern, an earlier pattern over a later one. ``field`` is the name
    of the table in errors.

    Raises
    ------
    UsageError
        If a name or pattern matches no layer.
    """
    for pattern in values:
        if not any(matches(layer, pattern) for layer in layers):
            raise unknown_name(f"{field}: layer", pattern, layers)
    levels = {layer: look_up(layer, values, None) for layer in layers}
    return {layer: level for layer, level in levels.items() if level is not None}
