import pytest

from search_spaces import SearchSpace
from study.pruning import PruningPlan, train_dense
from study.pruning.selection.additive_optimum import additive_optimum
from study.pruning.selection.allocation import Request, allocate
from study.records import SensitivityRecord
from study.tuning.preparing import prunable_layers
from study.tuning.search.warm_start import warm_start_points
from tests.pruning.tiny import tiny_task

TASK = tiny_task()
DENSE = train_dense(TASK, PruningPlan(sparsity=0.5).seeds)
LAYERS = prunable_layers(TASK)
ALLOCATIONS = ("uniform", "global", "erk", "lamp")


def points(space: SearchSpace, densities: tuple[float, ...] = (0.2,)) -> list[dict[str, object]]:
    return warm_start_points(space, LAYERS, TASK, DENSE, [], ALLOCATIONS, densities)


def test_each_allocation_is_a_point_whose_plan_cuts_as_the_allocation_does() -> None:
    weights = {
        name.removesuffix(".weight"): value.abs()
        for name, value in DENSE.states[16].model.items()
        if name in ("conv.weight", "fc.weight")
    }
    masks = {name: weight >= 0 for name, weight in weights.items()}
    found = points(SearchSpace())
    assert len(found) == 4
    for point, allocation in zip(found, ALLOCATIONS, strict=True):
        own = {layer: point[f"sparsity.{layer}"] for layer in weights}
        mine = allocate("per_layer", Request(weights, masks, own)).masks  # type: ignore[arg-type]
        theirs = allocate(allocation, Request(weights, masks, 0.8)).masks
        for layer in weights:
            assert abs(int(mine[layer].sum()) - int(theirs[layer].sum())) <= 1, (allocation, layer)


def test_points_go_as_deep_and_as_long_as_the_space_allows() -> None:
    space = SearchSpace(rounds=(1, 7), schedule=("cubic", "geometric"))  # type: ignore[arg-type]
    for point in points(space):
        assert point["rounds"] == 7
        assert point["schedule"] == "geometric"


def test_points_take_turns_in_the_ways_of_retraining() -> None:
    ways = [point["retrain"] for point in points(SearchSpace())]
    assert ways == ["lr_rewind", "weight_rewind", "finetune", "lr_rewind"]


def test_points_take_turns_in_how_long_they_retrain_the_shorter_first() -> None:
    space = SearchSpace.model_validate({"retrain_epochs": [1, 6]})
    assert [point["retrain_epochs"] for point in points(space)] == [2, 4, 6, 2]


def test_the_additive_optimum_of_the_scan_is_a_point_too() -> None:
    records = [
        SensitivityRecord(layer=layer, sparsity=level, val_accuracy=0.9 - drop, val_loss=1,
                          accuracy_drop=drop, seed=0, recovery_epochs=0)
        for layer, drops in (("conv", (0.1, 0.5)), ("fc", (0.0, 0.01)))
        for level, drop in zip((0.5, 0.99), drops, strict=True)
    ]  # fmt: skip
    found = warm_start_points(SearchSpace(), LAYERS, TASK, DENSE, records, ["sensitivity"], (0.2,))
    totals = {layer.name: layer.total for layer in LAYERS}
    expected = additive_optimum(records, totals, 0.8)
    assert {name: found[0][f"sparsity.{name}"] for name in totals} == pytest.approx(expected)
    assert warm_start_points(SearchSpace(), LAYERS, TASK, DENSE, [], ["sensitivity"], (0.2,)) == []


def test_points_that_the_space_makes_the_same_come_once() -> None:
    bounded = SearchSpace.model_validate({"per_layer": {"bounds": [0.0, 0.1]}})
    assert len(points(bounded)) == 1


@pytest.mark.parametrize(
    "form", [{}, {"form": "density_projected"}, {"form": "global", "density": [0.05, 1.0]}]
)
def test_every_point_is_one_of_the_space(form: dict[str, object]) -> None:
    space = SearchSpace.model_validate(form)
    for point in points(space, (0.5, 0.1)):
        assert space.distributions(point, LAYERS).keys() == point.keys()


def test_a_density_that_an_allocation_cannot_reach_is_left_out() -> None:
    found = warm_start_points(SearchSpace(), LAYERS, TASK, DENSE, [], ["uniform_plus"], (0.05,))
    assert found == []


def test_points_retrain_at_the_middle_of_the_learning_rates() -> None:
    space = SearchSpace.model_validate(
        {"retrain_lr": [1e-4, 1e-2], "retrain_lr_schedule": "cosine"}
    )
    for point in points(space):
        assert point["retrain_lr"] == pytest.approx(1e-3)
        assert "retrain_lr_schedule" not in point  # it is fixed
