"""A study at one size: the space that a target such as ``macs <= 0.4`` makes of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.errors import UsageError, shortened
from study.objectives import Constraint

BUDGETS = {"macs": "macs", "density": "weights", "latency_ms": "latency_ms"}
"""What a plan's sparsity is to be a share of, by the column that a target limits."""

AIM = 0.97
"""Share of a latency's limit that plans end at, by prediction: the clock, which is what the limit
is for, says a few percent more or less."""

_DECIDED = ("form", "per_layer", "density", "cut", "floor", "budget")
"""Fields of a space that say how far its plans go."""


def at_target(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A study file's tables, all of whose plans end at the target that ``[search]`` names.

    Parameters
    ----------
    tables
        As they were written. Without ``search.target`` they stay as they are.

    Returns
    -------
    dict
        With a space of form global whose density is the target's limit: the search is for the
        way there, and works at no other size. Of a latency the density is a little below the
        limit, see :data:`AIM`.

    Raises
    ------
    UsageError
        If the target is none, or the space is a function, which says itself how far plans go.
    """
    search = tables.get("search")
    target = search.get("target") if isinstance(search, Mapping) else None
    if target is None:
        return dict(tables)
    if not isinstance(target, str):
        raise UsageError(
            f"search.target: {shortened(target)} is no text; such as 'macs <= 0.4' is."
        )
    constraint = Constraint.parse(target, "search.target")
    budget = BUDGETS.get(constraint.column)
    if budget is None or constraint.at_least or not 0 < constraint.limit < 1:
        raise UsageError(
            f"search.target: {target!r} is no size to prune to. Write 'macs <= 0.4' (a share of "
            "the dense network's multiply-adds), 'latency_ms <= 0.5' (of its latency) or "
            "'density <= 0.1' (of its prunable weights)."
        )
    space = dict(tables.get("space") or {})
    if constraint.column == "latency_ms" and space.get("structure", "weights") == "weights":
        raise UsageError(
            f"search.target: {target!r} needs space.structure channels, heads or units: single "
            "weights that are zero make nothing faster. Add --set space.structure=channels."
        )
    if space.get("function") is not None:
        raise UsageError(
            f"search.target: space.function {space['function']!r} decides itself how far its "
            "plans go; take one of them out."
        )
    kept = {field: value for field, value in space.items() if field not in _DECIDED}
    limit = constraint.limit * (AIM if constraint.column == "latency_ms" else 1.0)
    at_limit = {"form": "global", "density": limit, "budget": budget}
    return {**tables, "space": {**kept, **at_limit}}
