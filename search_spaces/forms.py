"""The forms of a space's sparsity, the one where none is named, and what a form needs.

The rule is here alone: ``offsets``, where the structure allows it and nothing else is said;
otherwise the form in which what is said (bounds of layers, allocations that rank no scores) has a
meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from search_spaces.cuts import fill_in
from search_spaces.per_layer import PerLayer
from search_spaces.structures import (
    COST_AWARE,
    FREE,
    Structure,
    Structures,
    allocations_for,
    alternatives,
    is_units,
    read_structures,
    removal_of,
    usual_allocations,
)
from search_spaces.values import Names, Range

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

DEFAULT_DENSITY = Range(0.02, 1.0, log=True)
DENSITY_OF_OFFSETS = Range(0.01, 1.0, log=True)
"""Of single weights: as far down as the usual bounds of levels of each layer lead."""

OFFSET_SCALE, TRUST_REGION = 0.5, 0.15
"""Standard deviation of offsets, of entries and of units: what units of a set are worth is moved by
a factor of 1.5 at most."""


def forms_for(structures: Structures) -> tuple[Form, ...]:
    """Forms that a space of this structure can have, the usual one first."""
    if structures == "weights":
        return ("offsets", "per_layer", "density_projected", "global")
    if is_units(structures):
        return ("offsets", "per_layer", "global")
    return ("offsets", "global") if _is_free(structures) else ("global",)


def filled_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the table of a space leaves open: its form, and what follows from that and from a cut.

    Raises
    ------
    ValueError
        If a structure is none, or there are both a cut and rounds.
    """
    by_cut = values.get("cut") is not None
    written = read_structures(values.get("structure", "weights"))
    structures = alternatives(written)
    form = values.get("form")
    form = usual_form(values, written) if form is None else form
    filled = {**values, "form": form}
    if by_cut:
        filled = fill_in(filled)
    elif filled.get("rounds", ...) is None:
        del filled["rounds"]
    if form in BY_ALLOCATION and values.get("allocation") is None:
        usual = [name for each in structures for name in usual_allocations_of(form, each)]
        filled["allocation"] = _one_or_more(usual)
    if form == "offsets" and values.get("offset_scale") is None:
        filled["offset_scale"] = TRUST_REGION if is_units(written) else OFFSET_SCALE
    only_threshold = filled.get("allocation") in ("threshold", ["threshold"], ("threshold",))
    by_pattern = all(removal_of(each).pattern for each in structures)
    has_total = form in ("density_projected", *BY_ALLOCATION) and not (only_threshold or by_pattern)
    if has_total and not by_cut and values.get("density") is None:
        is_far = form == "offsets" and written == "weights"
        filled["density"] = DENSITY_OF_OFFSETS if is_far else DEFAULT_DENSITY
    return filled


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
        return ("lamp",)
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


def _one_or_more(names: Sequence[str]) -> Names:
    """Names without those that come again, alone where there is one."""
    found = tuple(dict.fromkeys(names))
    return found if len(found) > 1 else found[0]
