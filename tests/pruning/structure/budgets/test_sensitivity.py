"""The allocation by a scan, against all networks that there are."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.errors import UsageError
from study.pruning.structure.allocation import cut_units
from study.pruning.structure.budgets.sensitivity import convex_curve
from study.pruning.structure.request import UnitRequest
from study.pruning.structure.sizes import Sizes, sizes_of, units_left
from study.pruning.structure.units import Part, Structure

WIDTHS = {"a": 6, "b": 8, "c": 10}
CHAIN = {"a": (6, 9), "b": (8, 6), "c": (10, 8), "d": (3, 10)}
READERS = {"a": "b", "b": "c", "c": "d"}
ALONE = {"a": (6, 9), "b": (8, 25), "c": (10, 4)}
LEVELS = (0.25, 0.5, 0.7, 0.9)


def structures(coupled: bool) -> list[Structure]:
    found = []
    for name, width in WIDTHS.items():
        units = torch.arange(width)
        reads = (Part(READERS[name], 1, units, "reads"),) if coupled else ()
        found.append(Structure(name, width, (Part(name, 0, units, "writes"), *reads), "all"))
    return found


def sizes(coupled: bool) -> Sizes:
    shapes = CHAIN if coupled else ALONE
    return sizes_of(
        structures(coupled),
        {name: torch.zeros(shape) for name, shape in shapes.items()},
        {name: name for name in shapes},
        {name: float(math.prod(shape)) for name, shape in shapes.items()},
    )


def request(
    coupled: bool, drops: dict[str, list[tuple[float, float]]], sparsity: float, **options: object
) -> UnitRequest:
    alive = {name: torch.ones(width, dtype=torch.bool) for name, width in WIDTHS.items()}
    scores = {name: torch.arange(width, dtype=torch.float64) for name, width in WIDTHS.items()}
    costs = sizes(coupled)
    return UnitRequest(
        structures(coupled), alive, scores, costs, sparsity, costs, drops=drops, **options
    )  # type: ignore[arg-type]


def cost(left: dict[str, int], coupled: bool) -> float:
    a, b, c = left["a"], left["b"], left["c"]
    return a * 9 + b * a + c * b + 3 * c if coupled else a * 9 + b * 25 + c * 4


def by_brute_force(
    budget: float, drops: dict[str, list[tuple[float, float]]], coupled: bool, asked: UnitRequest
) -> float:
    """The least sum of drops, read off the curves, of all networks within the budget."""
    least = {s.name: asked.floor(s) for s in asked.structures}
    best = math.inf
    for widths in itertools.product(*(range(least[n], w + 1) for n, w in WIDTHS.items())):
        left = dict(zip(WIDTHS, widths, strict=True))
        if cost(left, coupled) <= budget * (1 + 1e-9):
            best = min(best, summed(left, drops))
    return best


def summed(left: dict[str, int], drops: dict[str, list[tuple[float, float]]]) -> float:
    total = 0.0
    for name, width in WIDTHS.items():
        gone = [0, *(round(level * width) for level, _ in drops[name])]
        total += float(np.interp(width - left[name], gone, [0.0, *(d for _, d in drops[name])]))
    return total


def convex(steps: list[float], width: int) -> list[tuple[float, float]]:
    """A curve whose slope grows."""
    curve, drop, before = [], 0.0, 0
    for level, slope in zip(LEVELS, np.cumsum(steps), strict=True):
        drop += float(slope) * (round(level * width) - before)
        before = round(level * width)
        curve.append((level, drop))
    return curve


CURVES = st.fixed_dictionaries(
    {
        name: st.lists(st.floats(0.001, 1.0), min_size=4, max_size=4).map(
            lambda steps, width=width: convex(steps, width)
        )
        for name, width in WIDTHS.items()
    }
)


@settings(max_examples=25, deadline=None)
@given(drops=CURVES, sparsity=st.floats(0.05, 0.7))
def test_no_network_as_small_has_a_lower_sum_where_structures_share_no_layer(
    drops: dict[str, list[tuple[float, float]]], sparsity: float
) -> None:
    asked = request(False, drops, sparsity)
    left = units_left(cut_units("sensitivity", asked))
    reached = cost(left, False)
    assert reached <= (1 - sparsity) * cost(WIDTHS, False) * (1 + 1e-9)
    best = by_brute_force(reached, drops, False, asked)
    assert summed(left, drops) == pytest.approx(best, abs=1e-9)


def test_the_sum_is_near_the_lowest_where_structures_share_layers() -> None:
    generator = np.random.default_rng(0)
    ratios = []
    for _ in range(60):
        drops = {
            name: convex(list(generator.uniform(0.01, 1.0, 4)), WIDTHS[name]) for name in "abc"
        }
        asked = request(True, drops, float(generator.uniform(0.2, 0.75)))
        left = units_left(cut_units("sensitivity", asked))
        best = by_brute_force(cost(left, True), drops, True, asked)
        ratios.append(summed(left, drops) / best)
    assert float(np.median(ratios)) < 1.02
    assert max(ratios) < 1.25
    assert min(ratios) >= 1 - 1e-9


FLAT = {name: [(level, 0.0) for level in LEVELS] for name in WIDTHS}
STEEP = {name: [(level, 10.0 * level) for level in LEVELS] for name in WIDTHS}


@pytest.mark.parametrize("cheap", ["a", "b", "c"])
def test_a_layer_that_costs_nothing_goes_as_far_as_was_scanned_and_keeps_its_floor(
    cheap: str,
) -> None:
    drops = {**STEEP, cheap: FLAT[cheap]}
    width = WIDTHS[cheap]
    for floor, least, asked in ((0.0, width - round(0.9 * width), 0.75), (0.5, width // 2, 0.4)):
        cut = cut_units("sensitivity", request(False, drops, asked, layer_floor=floor))
        left = units_left(cut)
        assert left[cheap] == max(least, 1)
        assert all(units >= max(1, math.ceil(floor * WIDTHS[n])) for n, units in left.items())


def test_what_was_not_scanned_stays_and_what_asks_for_more_is_refused() -> None:
    drops = {"a": [(0.5, 0.1)], "b": [(0.5, 0.1)]}
    left = units_left(cut_units("sensitivity", request(True, drops, 0.3)))
    assert left["c"] == 10
    assert (left["a"], left["b"]) >= (3, 4)
    with pytest.raises(UsageError, match="no share that was not scanned"):
        cut_units("sensitivity", request(True, drops, 0.9))


def test_curves_are_means_over_seeds_and_bend_upwards() -> None:
    drops = {"c": [(0.2, 0.1), (0.2, 0.3), (0.5, 0.1), (0.9, 0.9)]}
    asked = request(True, drops, 0.3)
    removed, drop = convex_curve(asked, asked.structures[2])
    assert removed == [0, 5, 9]  # the level of .2 lies above the straight line to .5
    assert drop == pytest.approx([0.0, 0.1, 0.9])


def test_widths_are_multiples() -> None:
    left = units_left(cut_units("sensitivity", request(True, STEEP, 0.5, width_multiple=2)))
    assert all(units % 2 == 0 for units in left.values())
