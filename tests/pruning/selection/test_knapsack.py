import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.pruning.selection import knapsack as module
from study.pruning.selection.allocation import allocate
from study.pruning.selection.costs import weight_costs
from study.pruning.selection.knapsack import knapsack
from study.pruning.selection.request import Request

VALUES = st.floats(0.0, 10.0, allow_subnormal=False)


def best_of_all_subsets(values: list[float], costs: list[float], budget: float) -> float:
    subsets = itertools.product([False, True], repeat=len(values))
    return max(
        sum(itertools.compress(values, subset))
        for subset in subsets
        if sum(itertools.compress(costs, subset)) <= budget
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(VALUES, st.integers(0, 12)), min_size=1, max_size=9),
    st.integers(0, 60),
)
def test_whole_costs_give_the_best_of_all_subsets(
    items: list[tuple[float, int]], budget: int
) -> None:
    values, costs = ([float(x) for x in part] for part in zip(*items, strict=True))
    chosen = knapsack(torch.tensor(values), torch.tensor(costs), budget)
    assert float(torch.tensor(costs)[chosen].sum()) <= budget
    found = float(torch.tensor(values).double()[chosen].sum())
    assert found == pytest.approx(best_of_all_subsets(values, costs, budget), abs=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(VALUES, st.floats(0.1, 5.0)), min_size=1, max_size=9),
    st.floats(0.0, 25.0),
)
def test_other_costs_fall_short_by_less_than_the_first_that_does_not_fit(
    items: list[tuple[float, float]], budget: float
) -> None:
    values, costs = (list(part) for part in zip(*items, strict=True))
    chosen = knapsack(*torch.tensor([values, costs], dtype=torch.float64), budget)
    assert sum(itertools.compress(costs, chosen)) <= budget + 1e-9
    order = sorted(range(len(values)), key=lambda i: -values[i] / costs[i])
    spent, short = 0.0, 0.0
    for item in order:
        spent += costs[item]
        if spent > budget:
            short = values[item]
            break
    found = sum(itertools.compress(values, chosen))
    assert found >= best_of_all_subsets(values, costs, budget) - short - 1e-9


def test_large_knapsacks_go_by_ratio_and_fill_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    values, costs = torch.tensor([9.0, 8.0, 3.0, 2.0]), torch.tensor([3.0, 4.0, 2.0, 1.0])
    monkeypatch.setattr(module, "MOST_CELLS", 0)
    assert knapsack(values, costs, 5.0).tolist() == [True, False, False, True]
    assert knapsack(values, costs, 6.0).tolist() == [True, False, True, True]


def test_the_greedy_choice_may_be_worse_than_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values, costs = torch.tensor([6.0, 10.0]), torch.tensor([1.0, 2.0])
    assert knapsack(values, costs, 2.0).tolist() == [False, True]
    monkeypatch.setattr(module, "MOST_CELLS", 0)
    assert knapsack(values, costs, 2.0).tolist() == [True, False]


def test_what_is_to_be_kept_is_kept_and_what_costs_nothing_too() -> None:
    values, costs = torch.tensor([1.0, 9.0, 5.0, 0.0]), torch.tensor([4.0, 4.0, 3.0, 0.0])
    keep = torch.tensor([True, False, False, False])
    assert knapsack(values, costs, 7.0, keep).tolist() == [True, False, True, True]
    assert keep.tolist() == [True, False, False, False]
    with pytest.raises(ValueError, match="costs 4, more than 3"):
        knapsack(values, costs, 3.0, keep)


def test_of_items_that_are_alike_the_first_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones(6)
    assert knapsack(ones, ones, 2.0).tolist() == [True] * 2 + [False] * 4
    monkeypatch.setattr(module, "MOST_CELLS", 0)
    assert knapsack(ones, ones, 2.0).tolist() == [True] * 2 + [False] * 4


@pytest.mark.parametrize(
    ("values", "costs"), [([-1.0], [1.0]), ([1.0], [-1.0]), ([float("nan")], [1.0])]
)
def test_values_and_costs_that_are_none_are_refused(
    values: list[float], costs: list[float]
) -> None:
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        knapsack(torch.tensor(values), torch.tensor(costs), 1.0)


def two_layers(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "conv": torch.randn(1, 1, 2, 2, generator=generator).abs(),
        "fc": torch.randn(2, 3, generator=generator).abs(),
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 0.6))
def test_the_allocation_is_the_best_of_all_masks_that_leave_each_layer_a_weight(
    seed: int, sparsity: float
) -> None:
    scores = two_layers(seed)
    alive = {layer: torch.ones_like(s, dtype=torch.bool) for layer, s in scores.items()}
    macs, totals = {"conv": 4 * 5.0, "fc": 6.0}, {"conv": 4, "fc": 6}
    costs = weight_costs("macs", 0.0, "macs", macs, totals)
    masks = allocate("knapsack", Request(scores, alive, sparsity, costs=costs)).masks
    values = torch.cat([s.flatten() for s in scores.values()]).double().square().tolist()
    each = [5.0] * 4 + [1.0] * 6
    best = max(
        sum(itertools.compress(values, subset))
        for subset in itertools.product([False, True], repeat=10)
        if any(subset[:4])
        and any(subset[4:])
        and sum(itertools.compress(each, subset)) <= (1 - sparsity) * 26 + 1e-9
    )
    found = sum(float(scores[n].double()[mask].square().sum()) for n, mask in masks.items())
    assert found == pytest.approx(best, abs=1e-9)


def test_with_a_budget_of_weights_it_is_one_ranking_of_all() -> None:
    scores = {"a": torch.rand(20, 30), "b": torch.rand(7, 11)}
    alive = {layer: torch.ones_like(s, dtype=torch.bool) for layer, s in scores.items()}
    ours = allocate("knapsack", Request(scores, alive, 0.8)).masks
    ranked = allocate("global", Request(scores, alive, 0.8)).masks
    assert all(torch.equal(ours[layer], ranked[layer]) for layer in scores)
