"""Coupled sets of channels as a space sees them, against networks counted by hand."""

import pytest
from torch import nn

from search_spaces import SearchSpace
from study.errors import UsageError
from study.pruning import mask_layers
from study.pruning.training.trajectory import build_model
from study.tasks import Task, make_task
from study.tuning.preparing import prunable_layers
from study.tuning.search.coupled import CoupledSets, coupled_sets
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
