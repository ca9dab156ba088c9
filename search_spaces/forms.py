"""The forms that the sparsity of a space's plans may have, and the one where none is named.

The rule is here alone: ``offsets``, where the structure allows it and nothing else is said;
otherwise the form in which what is said (bounds of layers, allocations that rank no scores) has a
meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from search_spaces.per_layer import PerLayer
from search_spaces.structures import (
    COST_AWARE,
    FREE,
    Structure,
    Structures,
    allocations_for,
    is_units,
    removal_of,
    usual_allocations,
)

Form = Literal["offsets", "per_layer", "density_projected", "global"]

BY_ALLOCATION = ("offsets", "global")
"""Forms whose plans have one total, and an allocation that divides it over the layers."""

BY_COST = ("budget", "cost", "cost_exponent")

MEANINGLESS: dict[Form, tuple[str, ...]] = {
    "offsets": ("threshold",),
    "per_layer": ("density", "allocation", "threshold", "offset_scale", *BY_COST),
    "density_projected": ("allocation", "threshold", "offset_scale", *BY_COST),
    "global": ("per_layer", "offset_scale"),
}
"""Fields that say nothing beside a form."""

SIGNED = ("movement",)
"""Saliencies whose scores may be negative: what multiplies them would rank the wrong way round."""


def forms_for(structures: Structures) -> tuple[Form, ...]:
    """Forms that a space of this structure can have, the usual one first."""
    if structures == "weights":
        return ("offsets", "per_layer", "density_projected", "global")
    if is_units(structures):
        return ("offsets", "per_layer", "global")
    return ("offsets", "global") if _is_free(structures) else ("global",)


def usual_form(values: Mapping[str, Any], structures: Structures) -> Form:
    """The form of a space whose table names none.

    Parameters
    ----------
    values
        The table as it was written; what is wrong in it is left for others to say.
    structures
        Of the space.

    Returns
    -------
    str
        ``offsets`` for single weights, blocks, channels, heads or units alone. But ``global``,
        where an allocation is among those named that ranks no scores of all layers, or a
        threshold is given; and ``per_layer`` (beside ``cut`` ``density_projected``), where bounds
        or a scale of levels are, or single weights are scored by what may be negative.
    """
    if "offsets" not in forms_for(structures):
        return "global"
    by_level: Form = "per_layer" if values.get("cut") is None else "density_projected"
    if _speaks_of_levels(values.get("per_layer")):
        return by_level
    if values.get("threshold") is not None or set(_names(values.get("allocation"))) - set(
        COST_AWARE
    ):
        return "global"
    if structures == "weights" and set(_names(values.get("saliency"))) & set(SIGNED):
        return by_level
    return "offsets"


def allocations_of(form: Form, structure: Structure) -> tuple[str, ...]:
    """How a total may be divided over the layers in such a form."""
    allowed = allocations_for(structure)
    return tuple(a for a in allowed if a in COST_AWARE) if form == "offsets" else allowed


def usual_allocations_of(form: Form, structure: Structure) -> tuple[str, ...]:
    """Those that a search tries unless it is told which."""
    if form == "offsets" and removal_of(structure).units is None:
        return ("lamp", "global")
    allowed = allocations_of(form, structure)
    return tuple(name for name in usual_allocations(structure) if name in allowed)


def _is_free(structures: Structures) -> bool:
    return isinstance(structures, str) and structures in FREE


def _speaks_of_levels(per_layer: Any) -> bool:
    if isinstance(per_layer, PerLayer):
        return bool(per_layer.model_fields_set & {"bounds", "scale"})
    return isinstance(per_layer, Mapping) and bool({"bounds", "scale"} & per_layer.keys())


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if isinstance(each, str)]
