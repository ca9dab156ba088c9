"""What a search space knows of a network: its prunable layers, and ways to group them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

T = TypeVar("T")
Grouping = Literal["layer", "block", "kind"]


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
        Kind of module, such as ``"linear"`` or ``"conv2d"``.
    """

    name: str
    total: int
    kind: str = "other"

    @property
    def block(self) -> str:
        """The part of the network that it is in: all of its name but the last part."""
        return self.name.rpartition(".")[0] or self.name


def group_layers(layers: Iterable[Layer], by: Grouping) -> dict[str, list[Layer]]:
    """Layers that share one parameter, by the group's name, in the order of the network."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        key = {"layer": layer.name, "block": layer.block, "kind": layer.kind}[by]
        groups.setdefault(key, []).append(layer)
    return groups


def by_pattern(field: str, table: Mapping[str, T], layers: Sequence[Layer]) -> dict[str, T]:
    """Look every layer up in a table of names and patterns.

    An exact name wins over a pattern, an earlier pattern over a later one; layers that nothing
    matches are left out.

    Raises
    ------
    ValueError
        If an entry matches no layer.
    """
    names = [layer.name for layer in layers]
    for pattern in table:
        if not any(fnmatchcase(name, pattern) for name in names):
            nearest = difflib.get_close_matches(pattern, names, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(
                f"{field}: {pattern!r} matches no layer.{hint} Layers: {', '.join(names)}."
            )
    found: dict[str, T] = {}
    for name in names:
        hits = [name] if name in table else [p for p in table if fnmatchcase(name, p)]
        if hits:
            found[name] = table[hits[0]]
    return found
