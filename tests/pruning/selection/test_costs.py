import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.errors import UsageError
from study.pruning.selection.allocation import allocate
from study.pruning.selection.costs import NO_OFFSETS, WeightCosts, weight_costs
from study.pruning.selection.lamp import lamp_scores
from study.pruning.selection.request import Cut, Request

SHAPES = {"conv1": (4, 3, 3, 3), "conv2": (8, 4, 3, 3), "fc1": (30, 40), "fc2": (10, 30)}
PLACES = {"conv1": 64, "conv2": 16, "fc1": 1, "fc2": 1}
TOTALS = {layer: math.prod(shape) for layer, shape in SHAPES.items()}
MACS = {layer: float(PLACES[layer] * total) for layer, total in TOTALS.items()}
WHOLE = sum(MACS.values())
COSTLIEST = max(PLACES.values())


def scores_of(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: torch.randn(shape, generator=generator).abs() * (1 + index)
        for index, (layer, shape) in enumerate(SHAPES.items())
    }


def all_alive() -> dict[str, Tensor]:
    return {layer: torch.ones(shape, dtype=torch.bool) for layer, shape in SHAPES.items()}


def cut(
    name: str,
    sparsity: float,
    *,
    cost: str = "macs",
    exponent: float = 0.0,
    budget: str = "weights",
    scores: dict[str, Tensor] | None = None,
    masks: dict[str, Tensor] | None = None,
    layer_floor: float = 0.0,
    offsets: Mapping[str, float] = NO_OFFSETS,
) -> Cut:
    costs = weight_costs(cost, exponent, budget, MACS, TOTALS, offsets)
    return allocate(
        name,
        Request(
            scores or scores_of(),
            masks or all_alive(),
            sparsity,
            layer_floor=layer_floor,
            costs=costs,
        ),
    )


def macs_kept(masks: dict[str, Tensor]) -> int:
    return sum(PLACES[layer] * int(mask.sum()) for layer, mask in masks.items())


BY_MACS = ["global", "lamp", "erk", "knapsack"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(BY_MACS),
    st.floats(0.0, 0.75),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_the_multiply_adds_are_met_to_within_one_weight_of_the_costliest_layer(
    name: str, sparsity: float, exponent: float
) -> None:
    exponent = exponent if name in ("global", "lamp") else 0.0
    kept = macs_kept(cut(name, sparsity, exponent=exponent, budget="macs").masks)
    budget = (1 - sparsity) * WHOLE
    assert budget - COSTLIEST < kept <= budget + 1e-6


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([*BY_MACS, "uniform"]), st.lists(st.floats(0.0, 0.7), min_size=2, max_size=4)
)
def test_masks_only_shrink_from_round_to_round_under_a_budget_of_multiply_adds(
    name: str, levels: list[float]
) -> None:
    masks = all_alive()
    for round_, sparsity in enumerate(sorted(levels)):
        after = cut(name, sparsity, budget="macs", scores=scores_of(round_), masks=masks).masks
        assert not any((after[layer] & ~masks[layer]).any() for layer in masks)
        assert macs_kept(after) <= (1 - sparsity) * WHOLE + len(SHAPES) / 2 * COSTLIEST
        masks = after


def test_uniform_is_the_same_in_weights_and_in_multiply_adds() -> None:
    one, other = (cut("uniform", 0.77, budget=budget).masks for budget in ("weights", "macs"))
    assert all(torch.equal(one[layer], other[layer]) for layer in SHAPES)


@pytest.mark.parametrize("budget", ["weights", "macs"])
@pytest.mark.parametrize("name", ["global", "lamp"])
def test_scores_are_ranked_by_what_they_give_for_their_cost(name: str, budget: str) -> None:
    """Against a plain sort, one weight after another."""
    scores, alive = scores_of(), all_alive()
    by_score = scores if name == "global" else {n: lamp_scores(scores[n], alive[n]) for n in SHAPES}
    items = []
    for layer, score in by_score.items():
        flat = score.double().flatten().tolist()
        best = max(range(len(flat)), key=flat.__getitem__)
        for place, value in enumerate(flat):
            rank = math.inf if place == best else value / PLACES[layer] ** 0.5
            items.append((rank, layer, place))
    items.sort(key=lambda item: -item[0])
    left = 0.2 * (WHOLE if budget == "macs" else sum(TOTALS.values()))
    expected: dict[str, set[int]] = {layer: set() for layer in SHAPES}
    for _, layer, place in items:
        left -= PLACES[layer] if budget == "macs" else 1
        if left < -1e-6:
            break
        expected[layer].add(place)
    for layer, mask in cut(name, 0.8, exponent=0.5, budget=budget).masks.items():
        assert set(mask.flatten().nonzero().flatten().tolist()) == expected[layer]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["global", "lamp"]),
    st.floats(0.0, 0.9),
    st.fixed_dictionaries({layer: st.floats(-3.0, 3.0) for layer in SHAPES}),
)
def test_offsets_rank_as_scores_do_that_were_multiplied_beforehand(
    name: str, sparsity: float, offsets: dict[str, float]
) -> None:
    scores, alive = scores_of(), all_alive()
    by_score = scores if name == "global" else {n: lamp_scores(scores[n], alive[n]) for n in SHAPES}
    moved = {layer: by_score[layer].double() * math.exp(offsets[layer]) for layer in SHAPES}
    by_hand = cut("global", sparsity, scores=moved, layer_floor=0.01).masks
    masks = cut(name, sparsity, offsets=offsets, layer_floor=0.01).masks
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == sum(TOTALS.values()) - round(sparsity * sum(TOTALS.values()))
    for layer in SHAPES:
        assert int((masks[layer] ^ by_hand[layer]).sum()) <= 1  # the last of a layer is safe


def test_a_layer_keeps_the_more_the_higher_its_offset_and_never_loses_its_last_weight() -> None:
    kept = [int(cut("lamp", 0.8, offsets={"conv1": o}).masks["conv1"].sum()) for o in range(-20, 3)]
    assert kept == sorted(kept)
    assert kept[0] == 1
    assert kept[-1] > kept[20]


def test_the_same_offset_of_all_layers_changes_nothing() -> None:
    plain, moved = cut("lamp", 0.8).masks, cut("lamp", 0.8, offsets={"*": 0.7}).masks
    assert all(torch.equal(plain[layer], moved[layer]) for layer in SHAPES)


def test_offsets_of_no_layer_and_of_negative_scores_are_refused() -> None:
    with pytest.raises(UsageError, match=r"score_offsets: layer: unknown name 'conv9'.*conv1"):
        cut("global", 0.5, offsets={"conv9": 1.0})
    with pytest.raises(UsageError, match="score_offsets needs a saliency that is never negative"):
        cut("global", 0.5, offsets={"fc1": 1.0}, scores={n: -s for n, s in scores_of().items()})


def test_a_higher_exponent_takes_more_from_the_layer_whose_weights_cost_most() -> None:
    kept = [int(cut("lamp", 0.5, exponent=g).masks["conv1"].sum()) for g in (0.0, 0.25, 0.5, 1.0)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < kept[0]


def test_an_exponent_of_a_cost_that_all_weights_share_changes_nothing() -> None:
    plain = cut("lamp", 0.8).masks
    divided = cut("lamp", 0.8, cost="parameters", exponent=1.0).masks
    assert all(torch.equal(plain[layer], divided[layer]) for layer in SHAPES)


@pytest.mark.parametrize("name", ["global", "lamp", "knapsack", "erk"])
def test_no_layer_loses_its_last_weight_where_costs_count(name: str) -> None:
    scores = scores_of()
    scores["conv1"] *= 1e-6
    exponent = 2.0 if name in ("global", "lamp") else 0.0
    found = cut(name, 0.97, exponent=exponent, budget="macs", scores=scores)
    assert found.collapsed == ()


def test_a_floor_holds_where_costs_count() -> None:
    scores = scores_of()
    scores["conv1"] *= 1e-6
    for name in ("global", "knapsack"):
        found = cut(name, 0.8, budget="macs", scores=scores, layer_floor=0.1)
        assert int(found.masks["conv1"].sum()) == 11  # a tenth of 108, to the nearest
        assert macs_kept(found.masks) <= 0.2 * WHOLE


@pytest.mark.parametrize("name", BY_MACS)
def test_a_floor_above_a_budget_of_multiply_adds_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"multiply-adds .*layer_floor 0\.2"):
        cut(name, 0.95, budget="macs", layer_floor=0.2)


def test_erk_in_multiply_adds_keeps_its_proportions() -> None:
    """Against the scale found by trying them from the smallest up."""
    sizes = {layer: sum(shape) for layer, shape in SHAPES.items()}

    def cost(scale: float) -> float:
        return sum(PLACES[n] * min(scale * sizes[n], TOTALS[n]) for n in SHAPES)

    scale = next(s / 1000 for s in range(1, 10**6) if cost(s / 1000) > 0.1 * WHOLE)
    for layer, mask in cut("erk", 0.9, budget="macs").masks.items():
        assert abs(int(mask.sum()) - min(scale * sizes[layer], TOTALS[layer])) <= 1.05


def test_uniform_plus_in_multiply_adds_protects_its_layers_and_meets_the_rest() -> None:
    masks = cut("uniform_plus", 0.3, budget="macs").masks
    assert bool(masks["conv1"].all())
    assert 0.7 * WHOLE - COSTLIEST < macs_kept(masks) <= 0.7 * WHOLE + 1e-6
    with pytest.raises(UsageError, match="multiply-adds"):
        cut("uniform_plus", 0.5, budget="macs")


def test_a_negative_saliency_cannot_be_divided_by_a_cost() -> None:
    scores = {layer: score - 1 for layer, score in scores_of().items()}
    with pytest.raises(UsageError, match="never negative"):
        cut("global", 0.5, exponent=0.5, scores=scores)
    with pytest.raises(UsageError, match="never negative"):
        cut("knapsack", 0.5, scores=scores)


def test_multiply_adds_that_are_not_known_are_refused_by_layer() -> None:
    unknown = {**MACS, "fc1": math.nan}
    for exponent, budget in ((0.5, "weights"), (0.0, "macs")):
        with pytest.raises(UsageError, match="layer 'fc1' could not all be counted"):
            weight_costs("macs", exponent, budget, unknown, TOTALS)
    costs = weight_costs("parameters", 0.5, "weights", unknown, TOTALS)
    assert costs == WeightCosts(dict.fromkeys(SHAPES, 1.0), 0.5)
    assert weight_costs("macs", 0.0, "weights", unknown, TOTALS) is None


def test_a_layer_without_multiply_adds_is_never_divided_by_them() -> None:
    free = {**MACS, "fc1": 0.0}
    costs = weight_costs("macs", 0.5, "macs", free, TOTALS)
    with pytest.raises(UsageError, match="layer 'fc1' takes no multiply-adds"):
        allocate("global", Request(scores_of(), all_alive(), 0.5, costs=costs))


def test_the_knapsack_keeps_all_of_a_layer_that_costs_nothing() -> None:
    costs = weight_costs("macs", 0.0, "macs", {**MACS, "fc1": 0.0}, TOTALS)
    masks = allocate("knapsack", Request(scores_of(), all_alive(), 0.9, costs=costs)).masks
    assert bool(masks["fc1"].all())
    assert not bool(masks["conv2"].all())
