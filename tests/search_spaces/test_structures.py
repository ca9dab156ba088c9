from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from search_spaces import SearchSpace
from search_spaces.structures import (
    UNITS,
    Removal,
    allocations_for,
    removal_of,
    removals_by_layer,
    structure_text,
    usual_allocations,
)
from study.pruning.plan import PruningPlan
from study.pruning.selection.allocation import ALLOCATIONS
from study.pruning.structure.allocation import UNIT_ALLOCATIONS
from tests.search_spaces.networks import LENET300, played

SEVERAL = ("weights", "2:4", "blocks", "channels", "channels+weights", "channels+1:4")


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([None, *UNITS]))
def test_every_pattern_is_read_as_it_is_written(n: int, more: int, units: str | None) -> None:
    m = n + more
    removal = removal_of(f"{n}:{m}" if units is None else f"{units}+{n}:{m}")
    assert removal == Removal(units, f"{n}:{m}")
    assert removal.pattern == (n, m)
    most = removal.most(0.25)
    assert most == pytest.approx(1 - (1 if units is None else 0.75) * n / m)


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ("chanels", r"structure: 'chanels' is unknown. Did you mean 'channels'\? Allowed: weights"),
        ("2:4:8", "is unknown"),
        ("02:4", "is unknown"),
        ("0:4", "is unknown"),
        ("4:4", "n must be below m"),
        ("weights+channels", "is unknown"),
        ("channels+", "is unknown"),
        ("channels+blocks", "blocks cannot be mixed with channels.*take channels.weights"),
        ({"a": "channels", "b": "blocks"}, "blocks cannot be mixed with channels"),
        ({"a": "channels", "b": "heads"}, "channels and heads are in one table"),
        ({"a": "2:4", "b": "weights"}, "2:4 and weights are in one table"),
        ({}, "the table is empty"),
    ],
)
def test_what_is_no_structure_is_refused(structure: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        removal_of(structure)


def test_a_table_says_of_every_layer_what_goes() -> None:
    table = {"fc2": "channels+weights", "fc*": "weights"}
    found = removals_by_layer(table, ["fc1", "fc2"])
    assert found == {"fc1": Removal(None, "weights"), "fc2": Removal("channels", "weights")}
    assert removal_of(table).is_mixed
    assert structure_text(table) == "channels+weights of fc2, weights of fc*"
    with pytest.raises(ValueError, match="says nothing of conv; add them, or exclude them"):
        removals_by_layer(table, ["conv", "fc1", "fc2"])
    with pytest.raises(ValueError, match=r"layer 'fc2' is unknown. Did you mean 'fc1'"):
        removals_by_layer(table, ["fc1"])


def test_every_allocation_that_a_structure_may_have_there_is() -> None:
    assert set(allocations_for("weights")) | {"per_layer"} == set(ALLOCATIONS)
    assert set(allocations_for("channels")) == {*UNIT_ALLOCATIONS, "knapsack", "sensitivity"}
    both = set(allocations_for("weights")) & set(allocations_for("channels"))
    assert set(allocations_for("channels+weights")) == both
    for structure in SEVERAL:
        for allocation in allocations_for(structure):
            fields: dict[str, Any] = {} if ":" in structure else {"sparsity": 0.5}
            if allocation == "threshold":
                fields = {"threshold": 0.1}
            if allocation == "sensitivity":
                fields["scanned_drops"] = {"conv": ((0.5, 0.1),)}
            if "+1:4" in structure:
                fields["width_multiple"] = 8
            PruningPlan.model_validate({"structure": structure, "allocation": allocation, **fields})


@pytest.mark.parametrize(
    ("structure", "fields", "message"),
    [
        (["weights", "channels"], {"form": "per_layer"}, "has form global, not per_layer"),
        ("channels+weights", {"form": "per_layer"}, "has form global, not per_layer"),
        ("channels", {"form": "density_projected"}, "has form offsets or per_layer or global, not"),
        ("blocks", {"form": "per_layer"}, "structure blocks has form offsets or global, not per"),
        ("2:4", {"form": "offsets"}, "structure 2:4 has form global, not offsets"),
        ("channels+weights", {"form": "offsets"}, "has form global, not offsets"),
        (["weights", "channels"], {"form": "offsets"}, "has form global, not offsets"),
        ({"fc*": "weights"}, {"form": "offsets"}, "has form global, not offsets"),
        (["channels", "heads"], {"allocation": "sensitivity"}, "sensitivity needs structure"),
        ("2:4", {"cost_exponent": 1.0, "cost": "latency_ms"}, "latency_ms needs structure"),
        (["weights", "channels"], {"budget": "latency_ms"}, "latency_ms needs structure"),
        ("channels+weights", {"budget": "latency_ms"}, "latency_ms has no meaning"),
    ],
)
def test_scans_levels_and_latency_are_for_structures_that_can_have_them(
    structure: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace.model_validate({"structure": structure, **fields})


@pytest.mark.parametrize("structure", ["channels+2:4", ["channels", "units+2:4"]])
def test_the_units_of_a_mixed_structure_may_go_by_latency(structure: Any) -> None:
    space = SearchSpace.model_validate(
        {"structure": structure, "budget": "latency_ms", "width_multiple": 8}
    )
    assert space.budget == "latency_ms"


def space_of(structure: Any, **fields: Any) -> SearchSpace:
    return SearchSpace.model_validate({"structure": structure, **fields})


@given(data=st.data())
def test_a_space_of_several_structures_reads_its_plans_back(data: st.DataObject) -> None:
    space = space_of(SEVERAL, width_multiple=4, unit_sparsity=[0.3, 0.6])
    trial, parameters = played(data)
    plan = PruningPlan(**space.suggest(trial, LENET300))
    back = space.parameters_of(plan.model_dump(), LENET300)
    assert back == {
        key: pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
        for key, value in parameters.items()
    }
    removal = removal_of(plan.structure)
    assert plan.allocation in usual_allocations(plan.structure)
    assert plan.width_multiple == (4 if removal.units else 1)
    assert ("unit_sparsity" in parameters) is removal.is_mixed
    assert ("density" in parameters) is (removal.pattern is None)
    assert plan.block == ((4, 4) if plan.structure == "blocks" else None)


def test_one_pattern_leaves_only_how_to_get_there() -> None:
    space = space_of("1:4", rounds=[1, 4], retrain="finetune")
    plan = space.suggest(FixedTrial({"rounds": 3}), LENET300)
    assert (plan["sparsity"], plan["allocation"], plan["rounds"]) == (0.75, "uniform", 3)
    assert space.floor_density(LENET300) == 0.25
    assert space_of(["weights", "1:4"], density=[0.5, 0.9]).floor_density(LENET300) == 0.5


def test_a_space_by_cuts_takes_as_many_rounds_as_a_pattern_needs() -> None:
    space = space_of(["weights", "2:4"], cut=0.2, floor=0.05, allocation="uniform")
    plans = {
        each: space.suggest(FixedTrial({"structure": each, "retrain": "finetune"}), LENET300)
        for each in ("weights", "2:4")
    }
    assert (plans["weights"]["rounds"], plans["2:4"]["rounds"]) == (14, 4)
    assert plans["2:4"]["sparsity"] == 0.5
    for plan in plans.values():
        assert space.parameters_of(plan, LENET300) is not None


def test_a_table_by_layer_is_one_structure() -> None:
    table = {"fc1": "channels", "fc*": "weights"}
    space = space_of(table, retrain="finetune", allocation="lamp", rounds=1)
    plan = PruningPlan(**space.suggest(FixedTrial({"density": 0.1}), LENET300))
    assert (plan.structure, plan.unit_sparsity) == (table, 0.5)
    assert space.parameters_of(plan.model_dump(), LENET300) == {"density": pytest.approx(0.1)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"structure": ["weights", "weights"]}, "names a structure twice"),
        ({"structure": [{"fc*": "weights"}]}, "no list of structures; a table stands alone"),
        ({"structure": {"fc*": 3}}, "no table of structures by layer"),
        ({"structure": 24}, "neither a structure, a list of them, nor a table by layer"),
        ({"structure": ["weights", "3:3"]}, "n must be below m"),
        ({"structure": "2:4", "form": "per_layer"}, "structure 2:4 has form global, not per_layer"),
        ({"structure": "2:4", "density": 0.3}, "density has no meaning with structure 2:4"),
        ({"structure": "2:4", "allocation": "lamp"}, "lamp has no meaning with structure 2:4"),
        (
            {"structure": ["channels", "blocks"], "allocation": "erk"},
            "erk has no meaning with structure channels; there is uniform",
        ),
        (
            {"structure": ["channels", "blocks"], "allocation": ["lamp", "erk"]},
            "allocation erk has no meaning with structure channels, blocks",
        ),
        ({"structure": ["weights", "2:4"], "width_multiple": 8}, "width_multiple has no meaning"),
        ({"structure": ["weights", "heads"], "unit_sparsity": 0.3}, "unit_sparsity has no meaning"),
        ({"structure": "2:4", "block": [4, 1]}, "block has no meaning with structure 2:4"),
        ({"structure": "1:4", "layer_floor": [0.0, 0.3]}, "layer_floor is above the 0.25"),
        ({"structure": "channels+2:4", "width_multiple": 6}, "it must be a multiple of 4"),
    ],
)
def test_structures_that_do_not_agree_with_a_space_are_refused(
    table: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace.model_validate(table)
