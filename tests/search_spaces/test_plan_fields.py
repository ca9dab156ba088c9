from __future__ import annotations

from search_spaces.plan_fields import PLAN_DEFAULTS, resolved, same_plan
from study.pruning.plan import PruningPlan
from tests.search_spaces.networks import LENET300

SEEDS = {"seed", "init_seed", "data_seed", "mask_seed"}
FOUND = {"scanned_drops"}
"""What a scan found is no choice of a space: the study fills it in."""


def test_the_fields_and_defaults_are_those_of_a_plan() -> None:
    fields = PruningPlan.model_fields
    decided = [name for name in fields if name not in SEEDS | FOUND]
    assert {name: fields[name].default for name in decided} == PLAN_DEFAULTS


def test_patterns_of_sparsities_are_resolved_as_the_plan_does() -> None:
    plan = resolved({"sparsity": {"*": 0.5, "fc1": 0.9}}, LENET300)
    assert plan["allocation"] == "per_layer"
    assert plan["sparsity"] == {"fc1": 0.9, "fc2": 0.5, "fc3": 0.5}


def test_layers_without_a_sparsity_stay_dense() -> None:
    assert resolved({"sparsity": {"fc1": 0.9}}, LENET300)["sparsity"]["fc3"] == 0.0


def test_seeds_and_rounding_make_no_other_plan() -> None:
    assert same_plan({"sparsity": 0.3, "seed": 1}, {"sparsity": 0.1 + 0.2, "seed": 2}, LENET300)
    assert not same_plan({"sparsity": 0.3}, {"sparsity": 0.3001}, LENET300)
    assert not same_plan({"threshold": 0.3}, {"sparsity": 0.3}, LENET300)
