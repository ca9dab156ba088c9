"""Widths in multiples of 8 where latency counts: others waste what a processor does at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.structures import alternatives, read_structures, removal_of
from study.objectives import Constraint

if TYPE_CHECKING:
    from study.configuration.models import StudyConfig

LATENCY = "latency_ms"

ALIGNED = 8
"""What a vector unit or a matrix unit takes at a time, or a part of it."""


def with_aligned_widths(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A study file's tables, with ``space.width_multiple`` where latency counts and it is not set.

    Parameters
    ----------
    tables
        As they were written. Where single weights are removed, or latency does not count, they
        stay as they are.
    """
    space = tables.get("space")
    if (
        not isinstance(space, Mapping)
        or not _takes_units_out(space.get("structure", "weights"))
        or "width_multiple" in space
        or not _latency_counts(tables)
    ):
        return dict(tables)
    return {**tables, "space": {**space, "width_multiple": ALIGNED}}


def note_on_widths(config: StudyConfig) -> str | None:
    """What is to be said of the widths of a study in which latency counts; None of any other."""
    written = config.model_dump(mode="json", include={"space", "objectives", "search"})
    if not _takes_units_out(config.space.structure) or not _latency_counts(written):
        return None
    return (
        f"widths that are left are multiples of {config.space.width_multiple} "
        f"(space.width_multiple; {ALIGNED} unless set, where latency counts)"
    )


def _takes_units_out(written: Any) -> bool:
    """Whether any structure of a space removes units; of what is none, a later check tells."""
    try:
        found = alternatives(read_structures(written))
    except ValueError:
        return False
    return any(removal_of(structure).units for structure in found)


def _latency_counts(tables: Mapping[str, Any]) -> bool:
    """Whether networks are chosen or cut by latency."""
    space, search, objectives = (
        table if isinstance(table := tables.get(name), Mapping) else {}
        for name in ("space", "search", "objectives")
    )
    written = [*(search.get("constraints") or ()), search.get("target")]
    named = [text for text in written if isinstance(text, str) and LATENCY in text]
    return (
        LATENCY in objectives
        or any(Constraint.parse(text).column == LATENCY for text in named)
        or space.get("budget") == LATENCY
        or (space.get("cost") == LATENCY and bool(space.get("cost_exponent")))
    )
