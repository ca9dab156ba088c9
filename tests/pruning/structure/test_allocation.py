"""Which units go: targets, floors, widths, and each allocation against its definition."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.errors import UsageError
from study.pruning.structure.allocation import UNIT_ALLOCATIONS, cut_units
from study.pruning.structure.request import UnitRequest, with_usual_floor
from study.pruning.structure.sizes import sizes_of, units_left
from study.pruning.structure.units import Part, Structure

WIDTHS = {"a": 16, "b": 24, "c": 32}
WEIGHTS = {"a": (16, 9), "b": (24, 16), "c": (32, 24), "d": (10, 32)}
READERS = {"a": "b", "b": "c", "c": "d"}


def structure(name: str) -> Structure:
    units = torch.arange(WIDTHS[name])
    parts = Part(name, 0, units, "writes"), Part(READERS[name], 1, units, "reads")
    return Structure(name, WIDTHS[name], parts, alike="last" if name == "c" else "inner")


STRUCTURES = [structure(name) for name in WIDTHS]
SIZES = sizes_of(
    STRUCTURES,
    {name: torch.zeros(shape) for name, shape in WEIGHTS.items()},
    {name: name for name in WEIGHTS},
    {name: float(math.prod(shape)) for name, shape in WEIGHTS.items()},
)


def request(seed: int = 0, sparsity: object = 0.7, **options: object) -> UnitRequest:
    generator = torch.Generator().manual_seed(seed)
    scores = {n: torch.rand(w, generator=generator, dtype=torch.float64) for n, w in WIDTHS.items()}
    alive = {name: torch.ones(width, dtype=torch.bool) for name, width in WIDTHS.items()}
    return UnitRequest(STRUCTURES, alive, scores, SIZES, sparsity, SIZES, **options)  # type: ignore[arg-type]


def cost(left: dict[str, int]) -> float:
    """By the shapes that are left."""
    a, b, c = (left[name] for name in "abc")
    return float(a * 9 + b * a + c * b + 10 * c)


@given(
    allocation=st.sampled_from([*sorted(set(UNIT_ALLOCATIONS) - {"sensitivity"}), "knapsack"]),
    seed=st.integers(0, 1000),
    sparsity=st.floats(0.0, 0.9),
    multiple=st.sampled_from([1, 4, 8]),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_no_more_is_left_than_was_asked_for_and_one_cut_less_would_be_too_much(
    allocation: str, seed: int, sparsity: float, multiple: int, exponent: float
) -> None:
    asked = request(seed, sparsity, width_multiple=multiple, cost_exponent=exponent)
    try:
        left = units_left(cut_units(allocation, asked))
    except UsageError:
        assert sparsity > 0.5
        assert multiple == 8
        return
    target = (1 - sparsity) * cost(WIDTHS)
    assert cost(left) <= target * (1 + 1e-9)
    assert all(units % multiple == 0 and units >= multiple for units in left.values())
    back = [{**left, n: left[n] + multiple} for n in WIDTHS if left[n] + multiple <= WIDTHS[n]]
    assert left == WIDTHS or any(cost(wider) > target for wider in back)


def test_uniform_takes_the_same_share_everywhere() -> None:
    left = units_left(cut_units("uniform", request(layer_floor=0.05)))
    shares = [left[name] / width for name, width in WIDTHS.items()]
    assert max(shares) - min(shares) <= 1 / 16


def test_structures_of_one_form_lose_the_same_share_together() -> None:
    left = units_left(cut_units("isomorphic", request()))
    inner = (left["a"] + left["b"]) / (WIDTHS["a"] + WIDTHS["b"])
    assert inner == pytest.approx(left["c"] / WIDTHS["c"], abs=1 / 24)


def test_among_structures_of_one_form_the_lowest_scores_go() -> None:
    asked = request()
    left = cut_units("isomorphic", asked)
    scores = torch.cat([asked.scores[n] / asked.scores[n].mean() for n in "ab"])
    kept = torch.cat([left[n] for n in "ab"])
    assert scores[kept].min() > scores[~kept].max()


def test_a_ranking_takes_the_lowest_scores_of_all() -> None:
    asked = request()
    left = cut_units("global_raw", asked)
    scores = torch.cat([asked.scores[n] for n in WIDTHS])
    kept = torch.cat([left[n] for n in WIDTHS])
    assert scores[kept].min() > scores[~kept].max()


@pytest.mark.parametrize("allocation", ["global", "global_raw", "lamp"])
def test_a_structure_keeps_the_more_the_higher_its_offset(allocation: str) -> None:
    kept = [
        units_left(cut_units(allocation, request(offsets={"b": offset})))["b"]
        for offset in (-6.0, -1.0, 0.0, 1.0, 6.0)
    ]
    assert kept == sorted(kept)
    assert kept[0] < kept[2] < kept[4]


@pytest.mark.parametrize("options", [{"offsets": {"b": 1.0}}, {"cost_exponent": 1.0}])
def test_scores_below_zero_can_be_neither_moved_nor_divided(options: dict[str, object]) -> None:
    asked = request(**options)
    asked = replace(asked, scores={n: values - 0.5 for n, values in asked.scores.items()})
    with pytest.raises(UsageError, match="never negative"):
        cut_units("global_raw", asked)


def test_dear_units_go_first_where_cost_counts() -> None:
    plain, by_cost = (units_left(cut_units("global", request(cost_exponent=g))) for g in (0.0, 1.0))
    saved = {name: SIZES.saved(WIDTHS, name, 1) for name in WIDTHS}
    dearest, cheapest = max(saved, key=saved.__getitem__), min(saved, key=saved.__getitem__)
    assert by_cost[dearest] < plain[dearest]
    assert by_cost[cheapest] > plain[cheapest]


def test_per_layer_is_the_share_of_units_that_was_asked_for() -> None:
    left = units_left(cut_units("per_layer", request(sparsity={"a": 0.5, "c": 0.9})))
    assert left == {"a": 8, "b": 24, "c": 3}


def test_floors_hold_and_what_they_forbid_is_said() -> None:
    left = units_left(cut_units("global", request(sparsity=0.5, layer_floor=0.5)))
    assert all(left[name] >= width / 2 for name, width in WIDTHS.items())
    with pytest.raises(UsageError, match="is the most"):
        cut_units("global", request(sparsity=0.9, layer_floor=0.5))


def test_an_allocation_that_channels_do_not_have_is_named() -> None:
    with pytest.raises(UsageError, match="allocation of channels"):
        cut_units("erk", request())


def test_widths_are_counted_in_channels_where_a_unit_is_several() -> None:
    four = torch.arange(16) % 4  # of a grouped convolution: four channels a unit
    grouped = Structure("a", 4, (Part("a", 0, four, "writes"),), alike="")
    asked = UnitRequest([grouped], {}, {}, SIZES, 0.5, SIZES, width_multiple=8)
    assert asked.unit_multiple(grouped) == 2
    assert asked.unit_multiple(STRUCTURES[0]) == 8
    assert asked.floor(grouped) == 2


def test_the_usual_floor_keeps_a_tenth_or_as_much_as_the_target_bears() -> None:
    steep = {"a": 1e-3, "b": 1.0, "c": 1.0}  # all of the first would go before any other
    for sparsity, share in ((0.5, 0.1), (0.95, 0.1), (0.975, 0.05), (0.985, 0.025)):
        asked = request(sparsity=sparsity)
        asked = replace(asked, scores={n: s * steep[n] for n, s in asked.scores.items()})
        floored = with_usual_floor(asked)
        assert floored.layer_floor == share
        left = units_left(cut_units("global_raw", floored))
        assert all(left[n] >= max(round(share * w - 1e-9), 1) for n, w in WIDTHS.items())
        assert cost(left) <= (1 - sparsity) * cost(WIDTHS)
    assert units_left(cut_units("global_raw", replace(asked, sparsity=0.5)))["a"] == 1


def test_of_a_layer_between_two_structures_a_floor_leaves_its_square() -> None:
    left = units_left(cut_units("uniform", request(sparsity=0.67, layer_floor=0.5)))
    assert left == {"a": 8, "b": 12, "c": 16}
    assert SIZES.share("b", left) == pytest.approx(0.25)
