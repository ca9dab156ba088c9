"""What a plan removes: how it is written, and what goes with it.

``weights``, ``blocks`` and ``n:m`` (such as ``2:4``) are entries of a matrix; ``channels``,
``heads`` and ``units`` (both) are units, which go with all that is coupled to them.
``channels+weights`` is units first and then entries. A table says so by layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.layers import look_up, matches, unknown

UNITS = ("channels", "heads", "units")
FREE = ("weights", "blocks")
"""Entries whose number is the plan's to say; of ``n:m`` the pattern says it."""

STRUCTURES = (
    *FREE, "2:4", *UNITS,
    *(f"{units}+{entries}" for units in UNITS for entries in ("weights", "2:4")),
)  # fmt: skip
"""As they are written, one for all layers; ``2:4`` stands for any ``n:m``."""

UNIT_SPARSITY = 0.5
"""Sparsity up to which units go where entries follow, unless a plan says otherwise."""

BLOCK = (4, 4)
"""Outputs and inputs of a block, unless a plan says otherwise."""

Structure = str | dict[str, str]
"""As a plan has it: one for all layers, or by the names or patterns of layers."""

Structures = str | tuple[str, ...] | dict[str, str]
"""As a space has it: one, or alternatives to choose from; a table is one."""

WEIGHT_ALLOCATIONS = (
    "global", "uniform", "uniform_plus", "per_output", "erk", "lamp", "knapsack", "threshold"
)  # fmt: skip
UNIT_ALLOCATIONS = ("uniform", "global", "global_raw", "lamp", "isomorphic", "knapsack")
BLOCK_ALLOCATIONS = ("global", "uniform", "uniform_plus", "lamp", "knapsack")
BOTH_ALLOCATIONS = ("uniform", "global", "lamp", "knapsack")

COST_AWARE = ("global", "global_raw", "lamp")
"""Allocations that rank by scores, which a cost may divide, and an offset of a layer multiply."""

_PATTERN = re.compile(r"([1-9]\d*):([1-9]\d*)")


@dataclass(frozen=True)
class Removal:
    """What is removed of the layers that a structure is for.

    Parameters
    ----------
    units
        One of :data:`UNITS`; None where none are.
    entries
        ``"weights"``, ``"blocks"`` or ``"n:m"`` as it is written; None where none are.
    """

    units: str | None
    entries: str | None

    @property
    def pattern(self) -> tuple[int, int] | None:
        """``n`` and ``m``, where there is a pattern."""
        found = _PATTERN.fullmatch(self.entries or "")
        return None if found is None else (int(found[1]), int(found[2]))

    @property
    def is_mixed(self) -> bool:
        """Whether entries go where units have gone before."""
        return self.units is not None and self.entries is not None

    def most(self, unit_sparsity: float) -> float | None:
        """Sparsity that a pattern ends at, after units up to theirs; None without a pattern."""
        if self.pattern is None:
            return None
        n, m = self.pattern
        return 1.0 - (1.0 - (unit_sparsity if self.units else 0.0)) * n / m


def removal_of(structure: str | Mapping[str, str]) -> Removal:
    """Everything that a plan of this structure removes, over all layers.

    Raises
    ------
    ValueError
        If a name is unknown, or the layers of a table don't go together: there is one kind of
        units, and one of entries, to each plan.
    """
    if isinstance(structure, str):
        return _read(structure)
    if not structure:
        raise ValueError("structure: the table is empty; it needs a structure for every layer")
    found = [_read(written) for written in structure.values()]
    units = list(dict.fromkeys(each.units for each in found if each.units))
    entries = list(dict.fromkeys(each.entries for each in found if each.entries))
    if len(units) > 1:
        raise ValueError(
            f"structure: {' and '.join(units)} are in one table; units are channels and heads"
        )
    if len(entries) > 1:
        raise ValueError(
            f"structure: {' and '.join(entries)} are in one table; a plan removes one of weights, "
            "blocks and n:m"
        )
    together = Removal(units[0] if units else None, entries[0] if entries else None)
    _refuse_mixed_blocks(together)
    return together


def removals_by_layer(
    structure: str | Mapping[str, str], layers: Sequence[str]
) -> dict[str, Removal]:
    """What is removed of each layer; a name wins over a pattern, an earlier over a later one.

    Raises
    ------
    ValueError
        If a pattern matches no layer, or a layer has no structure.
    """
    if isinstance(structure, str):
        return dict.fromkeys(layers, _read(structure))
    for pattern in structure:
        if not any(matches(layer, pattern) for layer in layers):
            raise ValueError(unknown("structure: layer", pattern, layers))
    written = {layer: look_up(layer, structure, "") for layer in layers}
    without = [layer for layer, each in written.items() if not each]
    if without:
        raise ValueError(
            f"structure: the table says nothing of {', '.join(without)}; add them, or exclude them"
        )
    return {layer: _read(each) for layer, each in written.items()}


def structure_text(structure: str | Mapping[str, str]) -> str:
    """A structure in words."""
    if isinstance(structure, str):
        return structure
    return ", ".join(f"{written} of {pattern}" for pattern, written in structure.items())


def allocations_for(structure: str | Mapping[str, str]) -> tuple[str, ...]:
    """How a sparsity may be divided over layers; ``per_layer`` aside, which needs a table."""
    removal = removal_of(structure)
    if removal.units is None and removal.entries == "weights":
        return WEIGHT_ALLOCATIONS
    if removal.entries == "blocks":
        return BLOCK_ALLOCATIONS
    if removal.units is None:
        return ("uniform",)  # a pattern leaves nothing to divide
    if removal.entries is None:
        return (*UNIT_ALLOCATIONS, "sensitivity")
    return BOTH_ALLOCATIONS if removal.entries == "weights" else UNIT_ALLOCATIONS


def usual_allocations(structure: str | Mapping[str, str]) -> tuple[str, ...]:
    """Those that a search tries unless it is told which."""
    rarely = ("per_output", "knapsack", "sensitivity", "threshold")
    return tuple(name for name in allocations_for(structure) if name not in rarely)


def is_units(structures: Structures) -> bool:
    """Whether a space takes out channels, heads or both, alone and of all layers."""
    return isinstance(structures, str) and structures in UNITS


def refuse_latency(field: str, structure: str | Mapping[str, str]) -> None:
    """Only units make a network faster by what the table of layers' times knows.

    Raises
    ------
    ValueError
        If a budget or cost of ``latency_ms`` would have to be met by entries.
    """
    removal = removal_of(structure)
    if removal.units is None:
        raise ValueError(
            f"{field} latency_ms needs structure channels, heads or units, not "
            f"{structure_text(structure)}: single weights that are zero make nothing faster"
        )
    if field == "budget" and removal.entries == "weights":
        raise ValueError(
            f"{field} latency_ms has no meaning with structure {structure_text(structure)}: single "
            "weights come up for a share of it, and make nothing faster; there is "
            f"{removal.units} alone, or {removal.units}+2:4"
        )


def alternatives(structures: Structures) -> tuple[Structure, ...]:
    """The structures that a space chooses from."""
    return structures if isinstance(structures, tuple) else (structures,)


def read_structures(value: Any) -> Any:
    """Check what a space says of structure: one, a list of alternatives, or a table by layer.

    Raises
    ------
    ValueError
        If a structure is unknown, or named twice.
    """
    if isinstance(value, (list, tuple)):
        if not value or not all(isinstance(each, str) for each in value):
            raise ValueError(f"{value!r} is no list of structures; a table stands alone")
        for each in value:
            removal_of(each)
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)} names a structure twice")
        return tuple(value) if len(value) > 1 else value[0]
    if isinstance(value, Mapping) and not all(isinstance(each, str) for each in value.values()):
        raise ValueError(f"{dict(value)!r} is no table of structures by layer")
    if isinstance(value, (str, Mapping)):
        removal_of(value)
        return value
    raise ValueError(f"{value!r} is neither a structure, a list of them, nor a table by layer")


def _read(written: str) -> Removal:
    first, plus, second = written.partition("+")
    removal = Removal(first, second) if plus else Removal(None, first)
    if not plus and first in UNITS:
        removal = Removal(first, None)
    is_known = removal.units in (None, *UNITS) and (
        removal.entries in (None, *FREE) or removal.pattern is not None
    )
    if not is_known:
        allowed = (*FREE, "n:m (such as 2:4)", *UNITS, "UNITS+weights", "UNITS+n:m")
        raise ValueError(unknown("structure:", written, allowed))
    if removal.pattern is not None and removal.pattern[0] >= removal.pattern[1]:
        raise ValueError(f"structure {written!r}: of n:m, n must be below m, or nothing goes")
    _refuse_mixed_blocks(removal)
    return removal


def _refuse_mixed_blocks(removal: Removal) -> None:
    """Units that go later would cut through blocks."""
    if removal.is_mixed and removal.entries == "blocks":
        raise ValueError(
            f"structure: blocks cannot be mixed with {removal.units}, which would leave parts of "
            f"blocks; take {removal.units}+weights or {removal.units}+2:4"
        )
