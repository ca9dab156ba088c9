"""A study at one size: the space that a target such as ``macs <= 0.4`` makes of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.forms import BY_ALLOCATION
from search_spaces.structures import allocations_for, alternatives, removal_of, structure_text
from search_spaces.values import LEAST_DENSITY
from study.errors import UsageError, shortened
from study.objectives import Constraint

if TYPE_CHECKING:
    from study.configuration.models import StudyConfig

BUDGETS = {"macs": "macs", "density": "weights", "latency_ms": "latency_ms"}
"""What a plan's sparsity is to be a share of, by the column that a target limits."""

AIM = 0.97
"""Share of a latency's limit that plans end at, by prediction: the clock, which is what the limit
is for, says a few percent more or less."""

_DECIDED = ("form", "per_layer", "density", "cut", "floor", "budget")
"""Fields of a space that say how far its plans go."""

_FOR_WEIGHTS = ("threshold", "block", "unit_sparsity")
"""Fields of a space that say nothing of channels."""


def at_target(tables: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A study file's tables, all of whose plans end at the target that ``[search]`` names.

    Parameters
    ----------
    tables
        As they were written. Without ``search.target`` they stay as they are.
    own
        Fields of the space that the user wrote; None: all of them, as none is a preset's.

    Returns
    -------
    dict
        With a space whose density is the target's limit: the search is for the way there, and
        works at no other size. It has form global, so that the allocations that are known take
        part, unless form offsets was written. Of a latency the density is a little below the
        limit, see :data:`AIM`. Of multiply-adds channels are taken out, if nothing is said of
        structure and nothing that the user wrote is of single weights.

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
    if budget is None or constraint.at_least or not LEAST_DENSITY <= constraint.limit < 1:
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
    if constraint.column == "macs" and "structure" not in space:
        space = _of_channels(space, space if own is None else own)
    limit = constraint.limit * (AIM if constraint.column == "latency_ms" else 1.0)
    at_limit = {"form": "global", "density": limit, "budget": budget}
    if space.get("form") == "offsets":
        at_limit |= {key: space[key] for key in ("form", "per_layer") if key in space}
    kept = {field: value for field, value in space.items() if field not in _DECIDED}
    return {**tables, "space": {**kept, **at_limit}}


def note_on_target(config: StudyConfig) -> str | None:
    """What is to be said of multiply-adds as a target; None of any other study."""
    target, space = config.search.target, config.space
    if target is None or Constraint.parse(target).column != "macs" or space.function is not None:
        return None
    zeros = [s for s in alternatives(space.structure) if not removal_of(s).units]
    if not zeros:
        return (
            f"structure {space.structure}: the network gets really smaller (space.structure; "
            "channels unless set, where a target is on macs)"
            if isinstance(space.structure, str)
            else None
        )
    return (
        f"{target} counts multiply-adds by zeros as gone with structure "
        f"{', '.join(map(structure_text, zeros))}, and they run no faster; "
        "--set space.structure=channels makes the network really smaller"
    )


def _of_channels(space: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The space with channels, without what a preset says of weights; as it is if a user does."""
    if any(_is_of_weights(field, value) for field, value in own.items()):
        return dict(space)
    kept = {f: value for f, value in space.items() if not _is_of_weights(f, value)}
    return {**kept, "structure": "channels"}


def _is_of_weights(field: str, value: Any) -> bool:
    """Whether a field of a space has a meaning for single weights alone."""
    if field in ("per_layer", *_FOR_WEIGHTS):
        return True
    if field == "form":
        return value not in BY_ALLOCATION
    if field == "allocation":
        named = value if isinstance(value, (list, tuple)) else [value]
        return any(each not in allocations_for("channels") for each in named)
    return field == "saliency" and "obs" in (value if isinstance(value, (list, tuple)) else [value])
