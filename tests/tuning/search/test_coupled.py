"""Coupled sets of channels as a space sees them, against networks counted by hand."""

import pytest
from optuna.trial import FixedTrial
from torch import nn

from search_spaces import SearchSpace
from study.errors import UsageError
from study.pruning import mask_layers
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.training.trajectory import build_model
from study.tasks import Task, make_task
from study.tuning.preparing import prunable_layers
from study.tuning.search.coupled import CoupledSets, coupled_sets
from study.tuning.search.first_plans import drawn_layers
from tests.pruning.tiny import images


def task() -> Task:
    def model() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(432, 3),
        )  # fmt: skip

    return make_task(model, images(60, 0), images(30, 1), epochs=1, batch_size=16, lr=0.05)


TASK = task()


def space(**fields: object) -> SearchSpace:
    return SearchSpace.model_validate(
        {"structure": "channels", "form": "per_layer", "rounds": 1, **fields}
    )


def sets(own: SearchSpace) -> CoupledSets:
    found = coupled_sets(TASK, own, prunable_layers(TASK))
    assert found is not None
    return found


def weights(a: int, b: int) -> int:
    return 9 * a + 9 * a * b + 36 * b * 3


def test_a_set_is_a_layer_of_so_many_units() -> None:
    own = sets(space())
    assert [(s.name, s.total, s.kind) for s in own.layers] == [("0", 8, "conv"), ("2", 12, "conv")]
    assert coupled_sets(TASK, SearchSpace(), prunable_layers(TASK)) is None


@pytest.mark.parametrize(
    ("bounds", "multiple", "left"),
    [
        ([0.0, 0.5], 1, (4, 6)),
        ({"0": [0.0, 0.25], "*": [0.0, 0.75]}, 1, (6, 3)),
        ([0.0, 0.7], 4, (4, 4)),
        ([0.0, 0.99], 1, (1, 1)),
    ],
)
def test_the_least_density_is_that_of_the_narrowest_network(
    bounds: object, multiple: int, left: tuple[int, int]
) -> None:
    own = space(per_layer={"bounds": bounds}, width_multiple=multiple)
    assert sets(own).least_density(own) == pytest.approx(weights(*left) / weights(8, 12))


def test_a_set_that_there_is_not_is_refused() -> None:
    own = space(per_layer={"bounds": {"1": [0.0, 0.5]}})
    with pytest.raises(ValueError, match=r"layer '1' is unknown.*Allowed: 0, 2"):
        sets(own).least_density(own)


def test_allocations_give_each_set_its_share() -> None:
    own, masked = space(), mask_layers(build_model(TASK, 0))
    uniform = sets(own).allocated("uniform", 0.3, own, masked, {})
    left = {"0": round(8 * (1 - uniform["0"])), "2": round(12 * (1 - uniform["2"]))}
    assert weights(left["0"], left["2"]) <= 0.3 * weights(8, 12)
    assert uniform["0"] == pytest.approx(uniform["2"], abs=1 / 8)
    drops = {"0": [(0.9, 5.0)], "2": [(0.9, 0.0)]}
    by_scan = sets(own).allocated("sensitivity", 0.3, own, masked, drops)
    assert by_scan["0"] == 0.0
    assert weights(8, round(12 * (1 - by_scan["2"]))) <= 0.3 * weights(8, 12)
    with pytest.raises(UsageError, match="is the most"):
        sets(own).allocated("uniform", 0.001, own, masked, {})


def test_an_offset_for_each_set_but_the_largest_is_drawn_and_moves_it() -> None:
    own = space(form=None, allocation="lamp", density=0.4, retrain="finetune", offset_scale=1)
    found = sets(own)
    layers = drawn_layers(own, prunable_layers(TASK), found)
    assert layers == found.layers
    left = {}
    for quantile in (0.01, 0.5, 0.99):
        point = {"offset_quantile.0": quantile}  # set 2 has more channels
        plan = PruningPlan(**own.suggest(FixedTrial(point), layers))
        assert own.parameters_of(plan.model_dump(), layers) == pytest.approx(point)
        (*_, last) = run_pipeline(plan, TASK)
        left[quantile] = {each.layer: each.outputs - each.dead_outputs for each in last.layers}
    assert left[0.01]["0"] < left[0.5]["0"] < left[0.99]["0"]
    assert left[0.01]["2"] > left[0.5]["2"] > left[0.99]["2"]


def test_a_level_for_each_set_is_drawn_and_read_back() -> None:
    own = space(per_layer={"bounds": [0.0, 0.75]}, retrain="finetune")
    layers = sets(own).layers
    point = {"sparsity.0": 0.5, "sparsity.2": 0.25}
    plan = own.example(layers) | {"sparsity": {"0": 0.5, "2": 0.25}}
    assert plan["structure"] == "channels"
    assert own.parameters_of(plan, layers) == point
    by_kind = space(per_layer={"bounds": [0.0, 0.75], "group_by": "kind"}, retrain="finetune")
    assert by_kind.nearest_parameters(plan, layers) == {
        "sparsity.conv": pytest.approx((0.5 * 8 + 0.25 * 12) / 20)
    }
