"""What a search space knows of a network: its prunable layers, and ways to name and group them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

T = TypeVar("T")
Grouping = Literal["layer", "block", "kind"]

KINDS = ("linear", "conv", "embedding", "recurrent", "attention", "other")


@dataclass(frozen=True)
class Layer:
    """One prunable weight tensor.

    Parameters
    ----------
    name
        As the pruning pipeline calls it.
    total
        Number of weights.
    kind
        One of :data:`KINDS`.
    block
        The part of the network that it is in. Left empty, all of its name but the last part, so
        that ``"layer1.0.conv2"`` is in block ``"layer1.0"``; a layer at the top is its own block.
    position
        Place in the network, from 0.

    Examples
    --------
    >>> Layer("layer1.0.conv2", 2304, "conv").block
    'layer1.0'
    """

    name: str
    total: int
    kind: str = "other"
    block: str = ""
    position: int = 0

    def __post_init__(self) -> None:
        if self.total < 1:
            raise ValueError(f"layer {self.name!r}: total is {self.total}; it must be at least 1")
        if self.kind not in KINDS:
            raise ValueError(f"layer {self.name!r}: {unknown('kind', self.kind, KINDS)}")
        if not self.block:
            object.__setattr__(self, "block", self.name.rpartition(".")[0] or self.name)


def group_layers(layers: Iterable[Layer], by: Grouping) -> dict[str, list[Layer]]:
    """Layers that share one parameter, by the group's name, in the order of the network."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        key = {"layer": layer.name, "block": layer.block, "kind": layer.kind}[by]
        groups.setdefault(key, []).append(layer)
    return groups


def look_up(name: str, table: Mapping[str, T], default: T) -> T:
    """Find a layer in a table of names and patterns (``*``, ``?``, ``[...]``).

    An exact name wins over a pattern, an earlier pattern over a later one, as in a plan's table
    of sparsities.
    """
    if name in table:
        return table[name]
    return next((value for key, value in table.items() if fnmatchcase(name, key)), default)


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern is a layer's: names such as ``"fc[0]"`` are patterns of themselves too."""
    return name == pattern or fnmatchcase(name, pattern)


def check_patterns(field: str, patterns: Iterable[str], layers: Sequence[Layer]) -> None:
    """Refuse patterns that no layer matches: they are misspelt.

    Raises
    ------
    ValueError
        Naming the pattern, the nearest layer, and all layers.
    """
    names = [layer.name for layer in layers]
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(unknown(f"{field}: layer", pattern, names))


def unknown(what: str, value: object, allowed: Iterable[str]) -> str:
    """Say that a name is none of those allowed, with the nearest right spelling."""
    names = list(allowed)
    nearest = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"{what} {value!r} is unknown.{hint} Allowed: {', '.join(names)}."
