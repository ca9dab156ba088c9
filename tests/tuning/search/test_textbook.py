from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from search_spaces import Layer, SearchSpace
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.tasks.task import Task
from study.tuning.preparing import prunable_layers
from study.tuning.search.textbook import textbook_plan
from tests.pruning.tiny import tiny_task
from tests.search_spaces.networks import LENET300

TASK = tiny_task()


def plan_of(
    table: dict[str, Any], layers: list[Layer] = LENET300, task: Task = TASK
) -> PruningPlan:
    return textbook_plan(SearchSpace.model_validate(table), layers, task, 3)


def with_epochs(epochs: int) -> Task:
    return replace(TASK, recipe=TASK.recipe.model_copy(update={"epochs": epochs}))


def test_a_fifth_of_what_remains_goes_each_round_down_to_the_floor() -> None:
    plan = plan_of({"per_layer": {"bounds": [0.0, 0.99]}})
    assert (plan.allocation, plan.saliency, plan.schedule) == ("lamp", "magnitude", "geometric")
    assert (plan.retrain, plan.rounds, plan.seed) == ("lr_rewind", 21, 3)
    densities = [1 - plan.sparsity_at(n) for n in range(1, 22)]  # type: ignore[operator]
    assert densities[:3] == pytest.approx([0.8, 0.64, 0.512])
    assert densities[-1] == pytest.approx(0.8**21)
    assert densities[-1] <= 0.01 < densities[-2]


@pytest.mark.parametrize(("dense", "epochs"), [(15, 3.0), (5, 2.0), (2, 2.0), (1, 1.0)])
def test_it_retrains_for_a_fifth_of_the_dense_run_but_for_two_epochs_at_least(
    dense: int, epochs: float
) -> None:
    """And never for longer than the dense run itself."""
    assert plan_of({}, task=with_epochs(dense)).retrain_epochs == pytest.approx(epochs)


@pytest.mark.parametrize(
    ("table", "epochs"),
    [
        ({"retrain_epochs": [1, 6]}, 3.5),
        ({"retrain_epochs": 2}, 2),
        ({}, 1),
        ({"function": "a:b"}, 1),
    ],
)
def test_without_a_dense_run_the_space_says_how_long(table: dict[str, Any], epochs: float) -> None:
    assert plan_of(table, task=with_epochs(0)).retrain_epochs == epochs


def test_what_the_space_fixes_for_every_plan_counts() -> None:
    plan = plan_of({"layer_floor": 0.05, "include": "fc*", "exclude": ["fc3"]})
    assert (plan.layer_floor, plan.include, plan.exclude) == (0.05, ("fc*",), ("fc3",))
    assert plan.rounds == 13  # 0.8 ** 14 is less than every layer must keep
    assert plan_of({"layer_floor": [0.0, 0.05]}).layer_floor == 0.0


@pytest.mark.parametrize(
    ("table", "rounds"),
    [
        ({"cut": [0.2, 0.5], "floor": 0.1}, 11),
        ({"form": "global", "density": [0.5, 0.9]}, 4),
        ({"per_layer": {"bounds": [0.0, 0.1]}}, 1),
        ({"per_layer": {"bounds": [0.0, 0.0]}}, 1),
        ({"function": "a:b"}, 21),
    ],
)
def test_it_goes_as_far_down_as_the_space(table: dict[str, Any], rounds: int) -> None:
    assert plan_of(table).rounds == rounds


@pytest.mark.parametrize(("density", "rounds"), [(0.5, 4), (0.9, 1), (0.3, 6)])
def test_units_go_in_steps_of_a_fifth_at_most_to_just_where_the_space_ends(
    density: float, rounds: int
) -> None:
    """A whole step more may be more than any network can lose."""
    plan = plan_of({"structure": "channels", "density": density})
    assert plan.rounds == rounds
    assert plan.sparsity == pytest.approx(1.0 - density)
    assert plan.sparsity_at(1) <= 0.2  # type: ignore[operator]


def test_a_tiny_network_keeps_a_weight_and_the_pipeline_takes_the_plan() -> None:
    layers = list(prunable_layers(TASK))
    total = sum(layer.total for layer in layers)
    plan = plan_of({"form": "global", "density": 1e-6}, layers)
    assert 0.8**plan.rounds * total >= 1
    records = list(run_pipeline(plan.model_copy(update={"retrain_epochs": 0.1}), TASK))
    assert [record.density for record in records] == pytest.approx(
        [0.8**n for n in range(plan.rounds + 1)], abs=0.51 / total
    )
    assert records[-1].nonzero_parameters > 0


def test_it_runs_where_there_is_no_dense_run() -> None:
    task = with_epochs(0)
    plan = plan_of({"per_layer": {"bounds": [0.0, 0.4]}}, list(prunable_layers(task)), task)
    records = list(run_pipeline(plan, task))
    assert [record.train_epochs for record in records] == [0, 1, 2, 3]
    assert records[-1].density == pytest.approx(0.512, abs=0.01)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (["channels", "weights"], ("weights", "lamp", 0.8**4)),
        (["2:4", "channels"], ("2:4", "uniform", 0.5)),
        ("1:4", ("1:4", "uniform", 0.25)),
        ("blocks", ("blocks", "lamp", 0.8**4)),
        ("channels+weights", ("channels+weights", "uniform", 0.8**4)),
    ],
)
def test_of_several_structures_the_textbook_run_has_one(
    structure: object, expected: tuple[str, str, float]
) -> None:
    density = {} if structure == "1:4" else {"density": [0.5, 0.9]}
    plan = plan_of({"structure": structure, **density})
    assert (plan.structure, plan.allocation) == expected[:2]
    assert plan.sparsity == pytest.approx(1 - expected[2])
    assert plan.rounds == (7 if structure == "1:4" else 4)
    assert plan.unit_sparsity == (0.5 if structure == "channels+weights" else None)
