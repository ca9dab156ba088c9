from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from scipy.stats import kstest, truncnorm

from search_spaces import Layer, SearchSpace
from search_spaces.layers import Grouping
from search_spaces.offsets import QUANTILES, draw_offsets, read_offsets
from study.pruning.plan import MOST_OFFSET, PruningPlan
from tests.search_spaces.networks import LENET300, RESNET, layer_lists, played

GROUPINGS: list[Grouping] = ["layer", "block", "kind"]


@given(layer_lists, st.sampled_from(GROUPINGS), st.floats(0.01, 5.0), st.data())
def test_quantiles_make_offsets_that_give_the_quantiles_back(
    layers: list[Layer], by: Grouping, scale: float, data: st.DataObject
) -> None:
    drawn: dict[str, float] = {}

    def choose(name: str, _: object) -> float:
        drawn[name] = data.draw(st.floats(QUANTILES.low, QUANTILES.high), label=name)
        return drawn[name]

    offsets = draw_offsets(choose, layers, by, scale)
    assert read_offsets(layers, by, scale, offsets) == pytest.approx(drawn, abs=1e-12)
    assert all(0.0 < abs(offset) <= 2.58 * scale <= MOST_OFFSET for offset in offsets.values())
    all_alike = {layer.name: offsets.get(layer.name, 0.0) + 0.3 for layer in layers}
    assert read_offsets(layers, by, scale, all_alike) == pytest.approx(drawn, abs=1e-9 / scale)


@given(data=st.data())
@pytest.mark.parametrize("structure", ["weights", "blocks", "channels"])
def test_in_the_middle_is_the_plan_of_form_global(structure: str, data: st.DataObject) -> None:
    fields: dict[str, Any] = {
        "structure": structure,
        "allocation": ["lamp", "global"],
        "cost_exponent": [0.0, 1.0],
        "density": [0.1, 1.0],
    }
    trial, parameters = played(data)
    whole = SearchSpace.model_validate({"form": "global", **fields})
    expected = PruningPlan(**whole.suggest(trial, RESNET))
    space = SearchSpace.model_validate(fields)
    middle = {f"offset_quantile.{layer.name}": 0.5 for layer in RESNET}
    plan = PruningPlan(**space.suggest(FixedTrial({**parameters, **middle}), RESNET))
    assert plan == expected
    assert plan.score_offsets == {}
    back = space.parameters_of(expected.model_dump(), RESNET)
    assert back is not None
    assert {name: back[name] for name in parameters} == pytest.approx(parameters, abs=1e-12)
    assert [v for name, v in back.items() if name.startswith("offset_")] == [0.5] * 13


def test_every_sampler_s_random_offsets_are_normal_around_none() -> None:
    space = SearchSpace(offset_scale=0.4)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rows = [space.suggest(study.ask(), LENET300)["score_offsets"] for _ in range(300)]
    end = NormalDist().inv_cdf(QUANTILES.high)
    for layer in ("fc2", "fc3"):
        offsets = np.array([row[layer] for row in rows])
        assert kstest(offsets, truncnorm(-end, end, scale=0.4).cdf).pvalue > 0.01
        assert kstest(offsets, truncnorm(-end, end, scale=0.8).cdf).pvalue < 1e-6
    assert all("fc1" not in row for row in rows)


def test_layers_of_a_group_move_together_and_the_largest_group_stays() -> None:
    space = SearchSpace.model_validate({"per_layer": {"group_by": "block"}, "density": 0.1})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    offsets = space.suggest(trial, RESNET)["score_offsets"]
    assert offsets["layer1.0.conv1"] == offsets["layer1.0.conv2"] != offsets["layer1.1.conv1"]
    assert not any(name.startswith("layer3.0") for name in offsets)  # the first of the largest
    assert "offset_quantile.layer3.1" in trial.params
    assert math.isclose(
        offsets["fc"], 0.5 * NormalDist().inv_cdf(trial.params["offset_quantile.fc"])
    )


def test_one_group_has_nothing_to_be_moved_against() -> None:
    space = SearchSpace.model_validate({"per_layer": {"group_by": "kind"}, "density": 0.1})
    trial = FixedTrial({"rounds": 1, "retrain": "finetune"})
    assert space.suggest(trial, LENET300)["score_offsets"] == {}


@pytest.mark.parametrize(
    ("change", "offsets"),
    [
        ({}, {}),
        ({"score_offsets": {"fc2": 0.4}}, {"fc2": 0.4}),
        ({"score_offsets": {"*": 0.7}}, {}),  # all alike
        ({"score_offsets": {"fc1": 0.5, "fc*": 1.0}}, {"fc2": 0.5, "fc3": 0.5}),
        ({"score_offsets": {"fc2": 1.3}}, None),  # beyond the quantiles of a scale of 0.5
        ({"allocation": "global"}, None),
        ({"allocation": "erk"}, None),
        ({"sparsity": {"fc*": 0.9}, "allocation": "per_layer"}, None),
        ({"sparsity": 0.995}, None),
    ],
)
def test_plans_in_a_space_of_offsets_and_outside(
    change: dict[str, Any], offsets: dict[str, float] | None
) -> None:
    plan = {"sparsity": 0.9, "allocation": "lamp", "retrain": "finetune", **change}
    point = SearchSpace().parameters_of(plan, LENET300)
    assert (point is None) is (offsets is None)
    if point is not None:
        made = SearchSpace().suggest(FixedTrial(point), LENET300)
        assert made["score_offsets"] == pytest.approx(offsets, abs=1e-12)


def test_the_nearest_point_to_offsets_averages_groups_and_ends_at_the_quantiles() -> None:
    space = SearchSpace.model_validate({"per_layer": {"group_by": "block"}})
    offsets = {"layer1.0.conv1": 0.6, "layer1.0.conv2": 0.2, "fc": 9.0, "conv1": -9.0}
    point = space.nearest_parameters(
        {"sparsity": 0.9, "allocation": "lamp", "score_offsets": offsets}, RESNET
    )
    assert point["offset_quantile.layer1.0"] == pytest.approx(NormalDist().cdf(0.4 / 0.5))
    assert (point["offset_quantile.conv1"], point["offset_quantile.fc"]) == (0.005, 0.995)
    assert point["offset_quantile.layer2.0"] == 0.5


def test_bounds_of_layers_are_none_of_its_business() -> None:
    with pytest.raises(ValueError, match="bounds of layers have no meaning with form offsets"):
        SearchSpace().with_bounds({"fc1": 0.9})
