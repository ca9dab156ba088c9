from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from search_spaces import Range, SearchSpace
from search_spaces.cuts import cut_of, rounds_of, total_of, totals_of
from study.pruning.plan import PruningPlan
from tests.search_spaces.networks import LENET300

shares = st.floats(0.01, 0.99)


@given(cut=shares, floor=st.floats(0.001, 0.9))
def test_a_descent_ends_in_the_first_round_that_leaves_no_more_than_the_floor(
    cut: float, floor: float
) -> None:
    left, rounds = 1.0, 0
    while left > floor * (1 + 1e-9) or rounds == 0:
        left, rounds = left * (1.0 - cut), rounds + 1
    assert rounds_of(cut, floor) in (rounds, rounds - 1 if math.isclose(left, floor) else rounds)
    assert total_of(cut, floor) == (1.0 - cut) ** rounds_of(cut, floor)


def test_a_cut_that_meets_the_floor_exactly_takes_no_round_more() -> None:
    for rounds in range(1, 60):
        assert rounds_of(cut_of(0.01, rounds), 0.01) == rounds
    assert [rounds_of(0.1, 0.9**n) for n in (1, 2, 7, 44)] == [1, 2, 7, 44]
    assert rounds_of(0.2, 0.01) == 21
    assert rounds_of(0.999, 0.01) == 1


@given(low=st.floats(0.01, 0.8), width=st.floats(0.01, 0.19), floor=st.floats(0.001, 0.5))
def test_the_totals_of_a_range_enclose_those_of_its_cuts_tightly(
    low: float, width: float, floor: float
) -> None:
    high = low + width
    ends = [cut_of(floor, n) for n in range(1, rounds_of(low, floor) + 2)]
    assume(not any(0 < abs(end - low) < 1e-6 for end in ends))  # as good as one that meets it
    least, most = totals_of(Range(low, high), floor)
    found = [total_of(float(cut), floor) for cut in np.linspace(low, high, 3000)]
    assert least <= min(found) * (1 + 1e-9)
    assert most >= max(found) * (1 - 1e-9)
    near = [total_of(min(max(cut_of(floor, n) + d, low), high), floor)
            for n in range(1, rounds_of(low, floor) + 1) for d in (-1e-7, 0.0)]  # fmt: skip
    assert least == pytest.approx(min(found + near), rel=1e-3)
    assert most == pytest.approx(max(found + near), rel=1e-3)


def test_rounds_and_density_follow_from_the_cut() -> None:
    space = SearchSpace(form="global", allocation="lamp", cut=0.2, floor=0.01, retrain="finetune")
    plan = PruningPlan(**space.suggest(FixedTrial({}), LENET300))
    assert plan.rounds == space.max_rounds == 21
    assert plan.schedule == "geometric"
    levels = [1 - plan.sparsity_at(n) for n in range(1, 22)]  # type: ignore[operator]
    assert levels == pytest.approx([0.8**n for n in range(1, 22)])


def test_shares_are_drawn_and_the_total_follows() -> None:
    space = SearchSpace.model_validate(
        {"cut": [0.2, 0.5], "form": "density_projected", "retrain": "finetune"}
    )
    point = {"cut": 0.5, "share.fc2": 3.0, "share.fc3": 10.0}
    plan = PruningPlan(**space.suggest(FixedTrial(point), LENET300))
    assert plan.rounds == 7
    assert isinstance(plan.sparsity, dict)
    total = sum(layer.total for layer in LENET300)
    kept = sum((1 - plan.sparsity[layer.name]) * layer.total for layer in LENET300)
    assert kept / total == pytest.approx(0.5**7, abs=1e-12)


def test_the_first_rounds_of_a_descent_are_no_plan_of_the_space() -> None:
    space = SearchSpace.model_validate({"cut": [0.2, 0.5], "form": "global", "retrain": "finetune"})
    point = {"cut": 0.3, "allocation": "lamp"}
    plan = PruningPlan(**space.suggest(FixedTrial(point), LENET300))
    prefix = plan.prefix(3)
    assert prefix is not None
    assert space.parameters_of(prefix.model_dump(), LENET300) is None
    assert space.parameters_of(plan.model_dump(), LENET300) == pytest.approx(point, abs=1e-12)


def test_a_floor_out_of_reach_of_the_bounds_is_refused() -> None:
    space = SearchSpace.model_validate({"cut": [0.2, 0.5], "per_layer": {"bounds": [0.0, 0.99]}})
    with pytest.raises(ValueError, match=r"space\.cut .* ends at total densities from 0\.00"):
        space.example(LENET300)


@pytest.mark.parametrize(
    ("table", "floor"),
    [
        ({"cut": [0.2, 0.5], "floor": 0.03}, 0.03),
        ({}, 0.01),
        ({"structure": "blocks"}, 0.02),
        ({"density": [0.005, 0.5]}, 0.005),
        ({"form": "global"}, 0.02),
        ({"form": "global", "density": [0.05, 0.2, 0.3]}, 0.05),
        ({"form": "density_projected", "density": [0.1, 0.5]}, 0.1),
        ({"per_layer": {"bounds": [0.0, 0.9]}}, 0.1),
        (
            {"per_layer": {"bounds": {"fc1": [0, 0.99], "fc2": [0, 0.9], "fc3": [0, 0.5]}}},
            (2352 + 3000 + 500) / 266200,
        ),
        ({"form": "global", "density": 1e-9}, 1 / 266200),
        ({"function": "some.module:space"}, 0.01),
        ({"form": "global", "allocation": "threshold", "threshold": 0.1}, 0.01),
    ],
)
def test_the_floor_of_a_space_is_the_least_it_may_leave(
    table: dict[str, Any], floor: float
) -> None:
    space = SearchSpace.model_validate(table)
    assert space.floor_density(LENET300) == pytest.approx(floor, rel=1e-9)
