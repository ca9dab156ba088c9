import itertools
import math
from collections import Counter

import pytest

from search_spaces import SearchSpace
from study.configuration.loading import load_config
from study.pruning import PruningPlan, train_dense
from study.pruning.selection.additive_optimum import additive_optimum
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.training.model_state import copy_state
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.records import SensitivityRecord
from study.tasks import Task, load_task
from study.tuning.preparing import prunable_layers
from study.tuning.search.coupled import coupled_sets
from study.tuning.search.warm_start import warm_start_points
from tests.pruning.tiny import tiny_task

TASK = tiny_task()
DENSE = train_dense(TASK, PruningPlan(sparsity=0.5).seeds)
LAYERS = prunable_layers(TASK)
ALLOCATIONS = ("uniform", "global", "erk", "lamp")


def points(
    space: SearchSpace, densities: tuple[float, ...] = (0.2,), most: int = 4
) -> list[dict[str, object]]:
    return warm_start_points(space, LAYERS, TASK, DENSE, [], ALLOCATIONS, densities, most)


def test_each_allocation_is_a_point_whose_plan_cuts_as_the_allocation_does() -> None:
    weights = {
        name.removesuffix(".weight"): value.abs()
        for name, value in DENSE.states[16].model.items()
        if name in ("conv.weight", "fc.weight")
    }
    masks = {name: weight >= 0 for name, weight in weights.items()}
    found = points(SearchSpace(form="per_layer"))
    assert len(found) == 4
    for point, allocation in zip(found, ALLOCATIONS, strict=True):
        own = {layer: point[f"sparsity.{layer}"] for layer in weights}
        mine = allocate("per_layer", Request(weights, masks, own)).masks  # type: ignore[arg-type]
        theirs = allocate(allocation, Request(weights, masks, 0.8)).masks
        for layer in weights:
            assert abs(int(mine[layer].sum()) - int(theirs[layer].sum())) <= 1, (allocation, layer)


@pytest.mark.parametrize(("most", "density", "rounds"), [(3, 0.2, 3), (25, 0.2, 5), (25, 0.01, 13)])
def test_a_third_or_so_of_what_remains_goes_each_round(
    most: int, density: float, rounds: int
) -> None:
    space = SearchSpace(rounds=(1, most), schedule=("cubic", "geometric"))  # type: ignore[arg-type]
    for point in points(space, (density,)):
        assert point["rounds"] == rounds
        assert point["schedule"] == "geometric"


def test_learning_rate_rewinding_comes_first_and_reinit_never() -> None:
    space = SearchSpace.model_validate({"retrain": ["finetune", "reinit", "lr_rewind"]})
    ways = [point["retrain"] for point in points(space, (0.2, 0.3), most=100)]
    assert ways[0] == "lr_rewind"
    assert set(ways) == {"finetune", "lr_rewind"}
    only = SearchSpace.model_validate({"retrain": "reinit", "form": "per_layer"})
    assert len(points(only)) == 4


def test_around_a_ranking_only_the_ranking_itself_is_a_known_allocation() -> None:
    space = SearchSpace.model_validate({"allocation": ["lamp", "global"], "rounds": [1, 8]})
    found = points(space, (0.2,), most=100)
    assert {point["allocation"] for point in found} == {"lamp", "global"}
    assert {point["offset_quantile.conv"] for point in found} == {0.5}
    assert len(found) == 2 * 3  # ways of retraining
    alone = warm_start_points(space, LAYERS, TASK, DENSE, [], ["erk", "uniform"], (0.2,), 9)
    assert alone == []


def test_a_space_by_cuts_is_begun_with_several_cuts() -> None:
    space = SearchSpace.model_validate({"form": "global", "cut": [0.2, 0.5], "floor": 0.02})
    found = {round(float(point["cut"]), 3) for point in points(space)}  # type: ignore[arg-type]
    assert found == {0.2, 0.368}
    three = SearchSpace.model_validate({"cut": [0.2, 0.36, 0.5], "floor": 0.1})
    assert {point["cut"] for point in points(three, most=6)} == {0.2, 0.36, 0.5}


def untrained(task: Task) -> Trajectory:
    model = build_model(task, init_seed=0)
    return Trajectory({dense_steps(task): TrainState(copy_state(model), {})}, math.nan, 0.0)


def curves(layers: list[str]) -> list[SensitivityRecord]:
    """A scan in which the first layers can take the most."""
    return [
        SensitivityRecord(layer=layer, sparsity=level, val_accuracy=0.9, val_loss=1, seed=0,
                          accuracy_drop=0.1 * (place + 1) * level**4, recovery_epochs=0)
        for place, layer in enumerate(layers)
        for level in (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
    ]  # fmt: skip


def crossed(preset: str) -> list[dict[str, object]]:
    """The levels of each factor in the warm start of a preset; allocations told by the masks."""
    config = load_config(preset, ["space.form='per_layer'"])
    task = load_task(**config.task.load_arguments())
    layers, dense = prunable_layers(task), untrained(task)
    weights = dense.states[dense_steps(task)].model
    scores = {layer.name: weights[f"{layer.name}.weight"].abs() for layer in layers}
    masks = {name: score >= 0 for name, score in scores.items()}
    records = curves(list(scores)) if config.sensitivity.scan else []
    search, known = config.search, {}
    for name, density in itertools.product(search.warm_start, search.warm_start_densities):
        if name != "sensitivity":
            kept = allocate(name, Request(scores, masks, 1 - density)).masks
            known[name, density] = {n: 1 - int(m.sum()) / m.numel() for n, m in kept.items()}
        elif records:
            totals = {layer.name: layer.total for layer in layers}
            known[name, density] = additive_optimum(records, totals, 1 - density)
    most = (config.study.num_samples + 1) // 2 - 1
    found = warm_start_points(
        config.space, layers, task, dense, records, search.warm_start,
        search.warm_start_densities, most,
    )  # fmt: skip
    assert len(found) == most
    table = []
    for point in found:
        apart = {
            key: max(abs(level - point[f"sparsity.{layer}"]) for layer, level in levels.items())
            for key, levels in known.items()
        }
        allocation, density = min(apart, key=apart.__getitem__)
        table.append(
            {"allocation": allocation, "density": density}
            | {name: point[name] for name in ("retrain", "retrain_epochs")}
        )
    return table


@pytest.mark.parametrize("preset", ["digits-mlp", "mnist5k-lenet300"])
def test_no_two_factors_of_a_warm_start_are_aliased(preset: str) -> None:
    table = crossed(preset)
    factors = {name: {row[name] for row in table} for name in table[0]}
    assert [len(levels) for levels in factors.values()][1:] == [2, 3, 3]
    for one, other in itertools.combinations(factors, 2):
        pairs = Counter((row[one], row[other]) for row in table)
        every = [pairs[pair] for pair in itertools.product(factors[one], factors[other])]
        assert max(every) - min(every) <= 1, (one, other, pairs)
        for factor, partner in ((one, other), (other, one)):
            for level, times in Counter(row[factor] for row in table).items():
                partners = {row[partner] for row in table if row[factor] == level}
                assert times < 3 or len(partners) > 1, (factor, level, partner)


def test_the_additive_optimum_of_the_scan_is_a_point_too() -> None:
    records = [
        SensitivityRecord(layer=layer, sparsity=level, val_accuracy=0.9 - drop, val_loss=1,
                          accuracy_drop=drop, seed=0, recovery_epochs=0)
        for layer, drops in (("conv", (0.1, 0.5)), ("fc", (0.0, 0.01)))
        for level, drop in zip((0.5, 0.99), drops, strict=True)
    ]  # fmt: skip
    found = warm_start_points(
        SearchSpace(form="per_layer"), LAYERS, TASK, DENSE, records, ["sensitivity"], (0.2,), 1
    )
    totals = {layer.name: layer.total for layer in LAYERS}
    expected = additive_optimum(records, totals, 0.8)
    assert {name: found[0][f"sparsity.{name}"] for name in totals} == pytest.approx(expected)
    for space, scan in ((SearchSpace(form="per_layer"), []), (SearchSpace(), records)):
        assert warm_start_points(space, LAYERS, TASK, DENSE, scan, ["sensitivity"], (0.2,), 1) == []


def test_points_that_the_space_makes_the_same_come_once() -> None:
    bounded = SearchSpace.model_validate({"per_layer": {"bounds": [0.0, 0.1]}})
    ways = [point["retrain"] for point in points(bounded, most=12)]
    assert ways == ["lr_rewind", "weight_rewind", "finetune"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"form": "per_layer"},
        {"form": "density_projected"},
        {"form": "global", "density": [0.05, 1.0]},
    ],
)
def test_every_point_is_one_of_the_space(form: dict[str, object]) -> None:
    space = SearchSpace.model_validate(form)
    for point in points(space, (0.5, 0.1), 50):
        assert space.distributions(point, LAYERS).keys() == point.keys()


def test_a_density_that_an_allocation_cannot_reach_is_left_out() -> None:
    space = SearchSpace(form="per_layer")
    assert warm_start_points(space, LAYERS, TASK, DENSE, [], ["uniform_plus"], (0.05,), 9) == []


def test_points_retrain_at_the_middle_of_the_learning_rates() -> None:
    space = SearchSpace.model_validate(
        {"retrain_lr": [1e-4, 1e-2], "retrain_lr_schedule": "cosine"}
    )
    for point in points(space):
        assert point["retrain_lr"] == pytest.approx(1e-3)
        assert "retrain_lr_schedule" not in point  # it is fixed


def test_every_structure_of_a_space_is_among_the_first_points() -> None:
    structures = ("channels", "weights", "channels+weights", "1:4")
    space = SearchSpace.model_validate({"structure": structures, "width_multiple": 4})
    found = points(space, most=12)
    assert {point["structure"] for point in found} == set(structures)
    for point in found:
        if point["structure"] == "1:4":
            assert "density" not in point
        else:
            assert point["density"] == pytest.approx(0.2)


def test_a_space_of_channels_begins_with_what_allocations_leave_of_each_set() -> None:
    space = SearchSpace.model_validate(
        {"structure": "channels", "form": "per_layer", "rounds": [1, 3]}
    )
    sets = coupled_sets(TASK, space, LAYERS)
    assert sets is not None
    record = SensitivityRecord(
        layer="conv", sparsity=0.8, val_accuracy=0.5, val_loss=1.0, accuracy_drop=0.1,
        seed=0, recovery_epochs=0,
    )  # fmt: skip
    for allocation, records in (("uniform", []), ("sensitivity", [record]), ("erk", [])):
        found = warm_start_points(
            space, sets.layers, TASK, DENSE, records, [allocation], (0.5,), 1, sets
        )
        # Of four channels all that is prunable hangs on: with half of the weights two are left.
        assert [point["sparsity.conv"] for point in found] == ([] if allocation == "erk" else [0.5])


def test_a_global_space_of_channels_begins_with_a_scan_where_it_may_choose_it() -> None:
    tables = {"structure": "channels", "rounds": [1, 3], "density": [0.3, 0.9]}
    record = SensitivityRecord(
        layer="conv", sparsity=0.8, val_accuracy=0.5, val_loss=1.0, accuracy_drop=0.1,
        seed=0, recovery_epochs=0,
    )  # fmt: skip
    for allocations, expected in ((["sensitivity", "uniform"], ["sensitivity"]), (["uniform"], [])):
        space = SearchSpace.model_validate({**tables, "allocation": allocations})
        sets = coupled_sets(TASK, space, LAYERS)
        found = warm_start_points(
            space, LAYERS, TASK, DENSE, [record], ["sensitivity"], (0.5,), 1, sets
        )
        assert [point.get("allocation") for point in found] == expected
