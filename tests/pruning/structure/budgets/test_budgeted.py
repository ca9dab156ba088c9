"""The knapsack of units, against all networks that there are."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.allocation import cut_units
from study.pruning.structure.budgets import widths
from study.pruning.structure.finding import prunable_units
from study.pruning.structure.request import UnitRequest
from study.pruning.structure.sizes import Sizes, sizes_of, units_left
from study.pruning.structure.units import Part, Structure


def chain(sizes: list[int], **options: object) -> UnitRequest:
    """Dense layers one after the other, with scores of very different steepness."""
    shapes = {f"l{i}": shape for i, shape in enumerate(itertools.pairwise(sizes))}
    structures = []
    for i, width in enumerate(sizes[1:-1]):
        parts = (
            Part(f"l{i}", 0, torch.arange(width), "writes"),
            Part(f"l{i + 1}", 1, torch.arange(width), "reads"),
        )
        structures.append(Structure(f"l{i}", width, parts, "all"))
    measure = sizes_of(
        structures,
        {name: torch.zeros(out, read) for name, (read, out) in shapes.items()},
        {name: name for name in shapes},
        {name: float(math.prod(shape)) for name, shape in shapes.items()},
    )
    generator = np.random.default_rng(sum(sizes))
    scores = {
        s.name: torch.tensor(generator.uniform(0, 1, s.units) ** generator.uniform(0.3, 4))
        for s in structures
    }
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    return UnitRequest(structures, alive, scores, measure, cost=measure, **options)  # type: ignore[arg-type]


def kept(request: UnitRequest, left: dict[str, int]) -> float:
    return sum(
        sum(sorted(request.scores[name].tolist(), reverse=True)[:units])
        for name, units in left.items()
    )


def cost(sizes: list[int]) -> int:
    return sum(first * second for first, second in itertools.pairwise(sizes))


def by_brute_force(request: UnitRequest, sizes: list[int]) -> float | None:
    """The highest sum of scores of all networks within the budget; None if there is none."""
    assert isinstance(request.sparsity, float)
    budget = (1 - request.sparsity) * cost(sizes) * (1 + 1e-9)
    names = [structure.name for structure in request.structures]
    best = None
    multiple = request.width_multiple
    for inner in itertools.product(*(range(1, width + 1) for width in sizes[1:-1])):
        is_allowed = all(
            w % multiple == 0 or w == s for w, s in zip(inner, sizes[1:-1], strict=True)
        )
        if is_allowed and cost([sizes[0], *inner, sizes[-1]]) <= budget:
            best = max(best or 0.0, kept(request, dict(zip(names, inner, strict=True))))
    return best


def drawn(number: int) -> list[tuple[list[int], float, int]]:
    generator = np.random.default_rng(number)
    found = []
    for _ in range(number):
        inner = generator.integers(3, 10, generator.integers(1, 5)).tolist()
        sizes = [int(generator.integers(3, 12)), *inner, int(generator.integers(3, 12))]
        found.append((sizes, float(generator.uniform(0.1, 0.85)), int(generator.integers(1, 3))))
    return found


def test_no_network_within_the_budget_has_a_higher_sum() -> None:
    compared = 0
    for sizes, sparsity, multiple in drawn(60):
        request = chain(sizes, sparsity=sparsity, width_multiple=multiple)
        best = by_brute_force(request, sizes)
        if best is None:
            with pytest.raises(UsageError, match="is the most"):
                cut_units("knapsack", request)
            continue
        left = units_left(cut_units("knapsack", request))
        assert kept(request, left) == pytest.approx(best, abs=1e-9), (sizes, sparsity, left)
        assert cost([sizes[0], *left.values(), sizes[-1]]) <= (1 - sparsity) * cost(sizes) + 1e-6
        compared += 1
    assert compared > 40


def test_the_search_of_larger_networks_is_hardly_below_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(widths, "MOST_NETWORKS", 0)
    ratios = []
    for sizes, sparsity, multiple in drawn(60):
        request = chain(sizes, sparsity=sparsity, width_multiple=multiple)
        if (best := by_brute_force(request, sizes)) is not None:
            ratios.append(kept(request, units_left(cut_units("knapsack", request))) / best)
    assert float(np.median(ratios)) == pytest.approx(1.0, abs=1e-9)
    assert min(ratios) > 0.95
    assert sum(ratio < 1 - 1e-9 for ratio in ratios) <= 3


class LookedUp:
    """A measure that is no formula, as a table of times."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self.asked = 0

    def total(self, left: dict[str, int]) -> float:
        self.asked += 1
        return self._sizes.total(left)

    def saved(self, left: dict[str, int], structure: str, units: int) -> float:
        return self._sizes.saved(left, structure, units)


def test_costs_that_are_looked_up_give_the_same_where_networks_are_few() -> None:
    for sizes, sparsity in (([12, 5, 6, 5], 0.8), ([5, 8, 7, 6, 4], 0.6)):
        request = chain(sizes, sparsity=sparsity)
        assert isinstance(request.sizes, Sizes)
        measure = LookedUp(request.sizes)
        looked_up = UnitRequest(
            request.structures, request.alive, request.scores, measure, sparsity, measure
        )  # type: ignore[arg-type]
        left = cut_units("knapsack", looked_up)
        assert kept(request, units_left(left)) == pytest.approx(by_brute_force(request, sizes))
        assert measure.asked < widths.MOST_LOOKED_UP


def test_wide_networks_are_filled_up_until_nothing_more_fits() -> None:
    sizes = [3, 64, 64, 128, 128, 10]
    request = chain(sizes, sparsity=0.7, width_multiple=4)
    left = units_left(cut_units("knapsack", request))
    budget = 0.3 * cost(sizes)
    reached = [3, *left.values(), 10]
    assert cost(reached) <= budget
    for place in range(1, 5):
        wider = [w + 4 * (i == place) for i, w in enumerate(reached)]
        assert wider[place] > sizes[place] or cost(wider) > budget


def test_a_small_network_keeps_what_its_allowance_pays_for() -> None:
    """Where steps of a tenth left widths 1 and 1, of 18 weights, and 24 were allowed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 5))
    masked = mask_layers(model)
    example = torch.randn(2, 12)
    structures = prunable_units(masked, lambda network: network(example), "channels", masked.names)
    weights = {name: weight.detach() for name, weight in masked.weights.items()}
    dense = {name: float(total) for name, total in masked.total.items()}
    measure = sizes_of(structures, weights, masked.parameter_names, dense)
    scores = {s.name: torch.ones(s.units, dtype=torch.float64) for s in structures}
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    left = cut_units("knapsack", UnitRequest(structures, alive, scores, measure, 0.8, measure))
    assert units_left(left) == {"0": 1, "2": 2}


def test_scores_below_zero_are_refused() -> None:
    request = chain([4, 6, 4], sparsity=0.5)
    request.scores["l0"][2] = -0.1  # type: ignore[index]
    with pytest.raises(UsageError, match="never negative"):
        cut_units("knapsack", request)
