"""How a plan is drawn from a space, in one place: sampling, reading and examples all go here.

Every value that is not fixed comes from a function ``choose(name, distribution)``. A trial, a
known point and "the lowest" are three such functions, so what is drawn, under which condition and
by which name can't differ between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from search_spaces.cuts import check_reach, cut_of, rounds_of, total_of
from search_spaces.layers import Layer
from search_spaces.offsets import draw_offsets, read_offsets
from search_spaces.per_layer import draw_levels, read_levels
from search_spaces.projection import draw_projected, draw_shares, reach, read_projected
from search_spaces.structures import (
    BLOCK,
    COST_AWARE,
    UNIT_SPARSITY,
    Structure,
    allocations_for,
    alternatives,
    removal_of,
    structure_text,
)
from search_spaces.table import SpaceTable
from search_spaces.values import Choose, Names, draw, options


def draw_plan(space: SpaceTable, choose: Choose, layers: Sequence[Layer]) -> dict[str, Any]:
    """Fields of a plan, with ``choose`` deciding what is not fixed.

    Raises
    ------
    ValueError
        If the space does not fit the layers, waits for a scan, or is a function.
    """
    if space.function is not None:
        raise ValueError(f"space.function {space.function!r} draws plans; call it instead")
    structure = _draw_structure(space, choose)
    removed = _draw_removal(space, choose, structure)
    if space.cut is None:
        plan = _draw_sparsity(space, choose, layers, structure, removed)
    else:
        plan = _draw_descent(space, choose, layers, structure, removed)
    if plan["allocation"] in COST_AWARE:
        plan["cost_exponent"] = draw(choose, "cost_exponent", space.cost_exponent)
    if space.offset_scale is not None:
        by = space.per_layer.group_by
        plan["score_offsets"] = draw_offsets(choose, layers, by, space.offset_scale)
    plan |= {"budget": space.budget, "cost": space.cost}
    plan["saliency"] = draw(choose, "saliency", space.saliency)
    plan["schedule"] = draw(choose, "schedule", space.schedule)
    if space.cut is None:
        one_shot = plan["schedule"] == "one_shot"
        plan["rounds"] = 1 if one_shot else draw(choose, "rounds", space.rounds)
    plan["retrain"] = draw(choose, "retrain", space.retrain)
    if plan["retrain"] == "weight_rewind":
        plan["rewind_epoch"] = draw(choose, "rewind_epoch", space.rewind_epoch)
    elif plan["retrain"] == "lr_rewind" and space.lr_rewind_epoch is not None:
        plan["rewind_epoch"] = draw(choose, "lr_rewind_epoch", space.lr_rewind_epoch)
    if space.retrain_epochs is not None:
        plan["retrain_epochs"] = draw(choose, "retrain_epochs", space.retrain_epochs)
    for name in ("retrain_lr", "retrain_lr_schedule"):
        if (values := getattr(space, name)) is not None:
            plan[name] = draw(choose, name, values)
    if plan["retrain"] != "reinit":
        plan["optimizer_state"] = draw(choose, "optimizer_state", space.optimizer_state)
    if space.layer_floor is not None:
        plan["layer_floor"] = draw(choose, "layer_floor", space.layer_floor)
    return plan | removed | {"include": space.include, "exclude": space.exclude}


def read_plan(
    space: SpaceTable, plan: Mapping[str, Any], layers: Sequence[Layer]
) -> dict[str, Any]:
    """A value for every parameter that a space may draw, taken from a plan.

    Parameters
    ----------
    space
        Decides which parameters there are.
    plan
        All fields; sparsity by layer, as one number, or None; offsets of scores by layer.
    layers
        The network's prunable layers.

    Returns
    -------
    dict
        Also of parameters that are not drawn for this plan; values may lie out of bounds.
    """
    sparsity = plan["sparsity"]
    if not isinstance(sparsity, Mapping):
        sparsity = {layer.name: sparsity or 0.0 for layer in layers}
    point: dict[str, Any]
    if space.form == "per_layer":
        point = read_levels(space.per_layer.groups(layers), sparsity)
    elif space.form == "density_projected":
        point = read_projected(space.per_layer.groups(layers), sparsity)
    elif isinstance(plan["sparsity"], Mapping):
        kept = sum((1.0 - sparsity[layer.name]) * layer.total for layer in layers)
        point = {"density": kept / sum(layer.total for layer in layers)}
    else:
        point = {"density": 1.0 - (plan["sparsity"] or 0.0)}
    if space.cut is not None and point["density"] > 0:
        point["cut"] = cut_of(point["density"], plan["rounds"])
    if space.by_allocation:
        for structure in alternatives(space.structure):
            point[allocation_parameter(space, structure)[0]] = plan["allocation"]
    if space.offset_scale is not None:
        by, offsets = space.per_layer.group_by, plan["score_offsets"]
        point |= read_offsets(layers, by, space.offset_scale, offsets)
    return {**plan, "lr_rewind_epoch": plan["rewind_epoch"], **point}


def asked_of(trial: BaseTrial) -> Choose:
    """Values that a trial suggests."""

    def choose(name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        assert isinstance(distribution, (IntDistribution, FloatDistribution))
        low, high, log = distribution.low, distribution.high, distribution.log
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(name, int(low), int(high), step=distribution.step, log=log)
        return trial.suggest_float(name, low, high, step=distribution.step, log=log)

    return choose


def lowest(_: str, distribution: BaseDistribution) -> Any:
    """The first choice, or the low end of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return distribution.low


def allocation_parameter(space: SpaceTable, structure: Structure) -> tuple[str, Names]:
    """Name of the parameter that a structure's allocation is, and what it may be.

    Where structures differ in what they may have, each has a parameter of its own.
    """
    given = options(space.allocation)
    fitting = tuple(name for name in given if name in allocations_for(structure))
    name = "allocation" if fitting == given else f"allocation.{structure_text(structure)}"
    return name, fitting if len(fitting) > 1 else fitting[0]


def _draw_structure(space: SpaceTable, choose: Choose) -> Structure:
    structures = alternatives(space.structure)
    return structures[0] if len(structures) == 1 else draw(choose, "structure", structures)


def _draw_removal(space: SpaceTable, choose: Choose, structure: Structure) -> dict[str, Any]:
    """Fields of a plan that say what is removed; those without meaning keep their defaults."""
    removal = removal_of(structure)
    fields: dict[str, Any] = {"structure": structure}
    if removal.units:
        fields["width_multiple"] = space.width_multiple
    if removal.is_mixed:
        until = UNIT_SPARSITY if space.unit_sparsity is None else space.unit_sparsity
        fields["unit_sparsity"] = draw(choose, "unit_sparsity", until)
    if removal.entries == "blocks":
        fields["block"] = space.block or BLOCK
    return fields


def _draw_allocation(space: SpaceTable, choose: Choose, structure: Structure) -> Any:
    return draw(choose, *allocation_parameter(space, structure))


def _most_of(removed: Mapping[str, Any]) -> float | None:
    """Sparsity that a pattern of n:m ends at; None without one."""
    return removal_of(removed["structure"]).most(removed.get("unit_sparsity", 0.0))


def _draw_descent(
    space: SpaceTable,
    choose: Choose,
    layers: Sequence[Layer],
    structure: Structure,
    removed: Mapping[str, Any],
) -> dict[str, Any]:
    """Sparsity and rounds of a space that is given by cuts."""
    assert space.cut is not None
    assert space.floor is not None
    floor = space.floor
    if space.by_allocation:
        allocation = _draw_allocation(space, choose, structure)
        cut = draw(choose, "cut", space.cut)
        most = _most_of(removed)
        floor = floor if most is None else 1.0 - most
        sparsity: Any = 1.0 - total_of(cut, floor) if most is None else most
    else:
        allocation = "per_layer"
        groups = space.per_layer.groups(layers)
        check_reach(space.cut, floor, *reach(groups))
        cut = draw(choose, "cut", space.cut)
        sparsity = draw_shares(choose, groups, total_of(cut, floor))
    return {"allocation": allocation, "sparsity": sparsity, "rounds": rounds_of(cut, floor)}


def _draw_sparsity(
    space: SpaceTable,
    choose: Choose,
    layers: Sequence[Layer],
    structure: Structure,
    removed: Mapping[str, Any],
) -> dict[str, Any]:
    if space.by_allocation:
        allocation = _draw_allocation(space, choose, structure)
        if allocation == "threshold":
            return {
                "allocation": allocation,
                "threshold": draw(choose, "threshold", space.threshold),
            }
        most = _most_of(removed)
        if most is not None:
            return {"allocation": allocation, "sparsity": most}
        return {"allocation": allocation, "sparsity": 1.0 - draw(choose, "density", space.density)}
    groups = space.per_layer.groups(layers)
    if space.form == "per_layer":
        levels = draw_levels(choose, groups, space.per_layer.scale)
    else:
        assert space.density is not None
        levels = draw_projected(choose, groups, space.density)
    return {"allocation": "per_layer", "sparsity": levels}
