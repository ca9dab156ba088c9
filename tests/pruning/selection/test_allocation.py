import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, prune

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.selection.allocation import ALLOCATIONS, allocate
from study.pruning.selection.lamp import lamp_scores
from study.pruning.selection.ranking import pruned_count
from study.pruning.selection.request import Request

SHAPES = {"conv1": (4, 3, 3, 3), "conv2": (8, 4, 3, 3), "fc1": (30, 40), "fc2": (10, 30)}
TOTAL = sum(math.prod(shape) for shape in SHAPES.values())


def weights(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: torch.randn(shape, generator=generator) * (1 + index)
        for index, (layer, shape) in enumerate(SHAPES.items())
    }


def request(
    sparsity: float | dict[str, float] | None = None,
    *,
    scores: dict[str, Tensor] | None = None,
    masks: dict[str, Tensor] | None = None,
    **options: float,
) -> Request:
    scores = scores or {layer: weight.abs() for layer, weight in weights().items()}
    masks = masks or {layer: torch.ones_like(s, dtype=torch.bool) for layer, s in scores.items()}
    return Request(scores, masks, sparsity, **options)  # type: ignore[arg-type]


def kept(masks: dict[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


ONE_NUMBER = ["uniform", "uniform_plus", "per_output", "global", "erk", "lamp", "knapsack"]
EXACT_IN_TOTAL = ["uniform_plus", "global", "erk", "lamp", "knapsack"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EXACT_IN_TOTAL), st.floats(0.0, 0.9))
def test_the_total_is_met_to_the_weight(name: str, sparsity: float) -> None:
    assert kept(allocate(name, request(sparsity)).masks) == TOTAL - pruned_count(sparsity, TOTAL)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ONE_NUMBER), st.lists(st.floats(0.0, 0.9), min_size=2, max_size=4))
def test_masks_only_shrink_and_every_round_meets_its_target_of_the_original(
    name: str, levels: list[float]
) -> None:
    masks: dict[str, Tensor] | None = None
    for round_, sparsity in enumerate(sorted(levels)):
        scores = {layer: weight.abs() for layer, weight in weights(round_).items()}
        cut = allocate(name, request(sparsity, scores=scores, masks=masks))
        if masks is not None:
            assert not any((cut.masks[layer] & ~masks[layer]).any() for layer in masks)
        masks = cut.masks
        slack = len(SHAPES) / 2 if name in ("uniform", "per_output") else 0
        assert abs(kept(masks) - (TOTAL - pruned_count(sparsity, TOTAL))) <= slack


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.77, 0.99])
def test_uniform_is_what_torch_prunes_layer_by_layer(sparsity: float) -> None:
    masks = allocate("uniform", request(sparsity)).masks
    for layer, weight in weights().items():
        module = nn.Module()
        module.weight = nn.Parameter(weight)
        prune.l1_unstructured(module, "weight", amount=sparsity)
        assert torch.equal(masks[layer], module.weight_mask.bool())  # type: ignore[operator]


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.99])
def test_global_is_what_torch_prunes_globally(sparsity: float) -> None:
    modules = []
    for weight in weights().values():
        module = nn.Module()
        module.weight = nn.Parameter(weight)
        modules.append((module, "weight"))
    prune.global_unstructured(modules, prune.L1Unstructured, amount=sparsity)
    masks = allocate("global", request(sparsity)).masks
    ours = parameters_to_vector([mask.float() for mask in masks.values()])
    theirs = parameters_to_vector([module.weight_mask for module, _ in modules])
    assert torch.equal(ours, theirs)


def test_each_layer_goes_to_its_own_sparsity_and_layers_not_named_stay() -> None:
    cut = allocate("per_layer", request({"fc1": 0.9, "conv*": 0.5}))
    densities = {layer: mask.float().mean().item() for layer, mask in cut.masks.items()}
    assert densities == pytest.approx({"conv1": 0.5, "conv2": 0.5, "fc1": 0.1, "fc2": 1.0})
    assert cut.requested == {"conv1": 0.5, "conv2": 0.5, "fc1": 0.9}


def test_a_layer_that_does_not_exist_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'fc1'"):
        allocate("per_layer", request({"fc_1": 0.5}))


def test_the_articles_threshold_drops_every_weight_below_a_half() -> None:
    masks = allocate("threshold", request(threshold=0.5)).masks
    for layer, weight in weights().items():
        assert torch.equal(masks[layer], weight.abs() >= 0.5)


def test_uniform_plus_keeps_the_first_convolution_dense_and_a_fifth_of_the_last_layer() -> None:
    cut = allocate("uniform_plus", request(0.9))
    density = {layer: mask.float().mean().item() for layer, mask in cut.masks.items()}
    assert density["conv1"] == 1.0
    assert density["fc2"] == pytest.approx(0.2)
    assert density["conv2"] == pytest.approx(density["fc1"], abs=0.004)


def brute_force_erk(sparsity: float) -> dict[str, float]:
    """Densities by the paper's procedure: scale, make too dense layers dense, scale again."""
    factor = {layer: sum(shape) / math.prod(shape) for layer, shape in SHAPES.items()}
    dense: set[str] = set()
    while True:
        budget = (1 - sparsity) * TOTAL - sum(math.prod(SHAPES[layer]) for layer in dense)
        divisor = sum(
            factor[layer] * math.prod(shape)
            for layer, shape in SHAPES.items()
            if layer not in dense
        )
        scale = budget / divisor
        too_dense = {x for x in SHAPES if x not in dense and scale * factor[x] > 1}
        if not too_dense:
            return {x: 1.0 if x in dense else scale * factor[x] for x in SHAPES}
        dense |= too_dense


@pytest.mark.parametrize("sparsity", [0.2, 0.5, 0.8, 0.95])
def test_erk_is_the_papers_procedure(sparsity: float) -> None:
    expected = brute_force_erk(sparsity)
    for layer, mask in allocate("erk", request(sparsity)).masks.items():
        assert abs(int(mask.sum()) - expected[layer] * mask.numel()) <= 1


def test_lamp_scores_are_the_square_over_all_squares_that_rank_no_lower() -> None:
    weight = weights()["fc2"]
    alive = torch.rand(weight.shape, generator=torch.Generator().manual_seed(3)) < 0.7
    scores = lamp_scores(weight.abs(), alive)
    values = weight[alive].double().abs()
    for value, score in itertools.islice(zip(values, scores[alive], strict=True), 50):
        expected = value.square() / values[values >= value].square().sum()
        assert score.item() == pytest.approx(expected.item(), rel=1e-12)
    assert scores.max() == 1.0
    assert not scores[~alive].any()


def test_lamp_resolves_small_weights_beside_a_huge_one() -> None:
    saliency = torch.full((1000,), 1e-6)
    saliency[0] = 1e4
    saliency[1:] += torch.arange(999) * 1e-9
    scores = lamp_scores(saliency, torch.ones(1000, dtype=torch.bool))
    assert scores[0] == 1.0
    assert (scores[2:] > scores[1:-1]).all()


def test_lamp_lets_no_layer_die_before_all_do() -> None:
    layers = len(SHAPES)
    scores = {layer: weight.abs() for layer, weight in weights().items()}
    scores["fc1"] *= 1e-4
    scores["conv2"] = torch.ones_like(scores["conv2"])
    cut = allocate("lamp", request(1 - layers / TOTAL, scores=scores))
    assert [int(mask.sum()) for mask in cut.masks.values()] == [1] * layers


def test_lamp_refuses_a_saliency_that_is_negative() -> None:
    with pytest.raises(UsageError, match="never negative"):
        allocate("lamp", request(0.5, scores=weights()))


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.77, 0.99])
def test_per_output_takes_of_every_output_alike_what_uniform_takes_of_the_layer(
    sparsity: float,
) -> None:
    alike = allocate("per_output", request(sparsity)).masks
    whole = allocate("uniform", request(sparsity)).masks
    for layer, mask in alike.items():
        counts = mask.flatten(1).sum(1)
        assert int(mask.sum()) == int(whole[layer].sum())
        assert int(counts.max() - counts.min()) <= 1
        scores = weights()[layer].abs().flatten(1)
        for row, kept_, count in zip(scores, mask.flatten(1), counts.tolist(), strict=True):
            assert set(row[kept_].tolist()) == set(row.topk(count).values.tolist())


def test_the_weights_left_over_go_to_the_outputs_whose_next_is_highest() -> None:
    scores = {"a": torch.tensor([[9.0, 1.0, 0.5], [8.0, 3.0, 0.1], [7.0, 2.0, 0.2]])}
    cut = allocate("per_output", request(4 / 9, scores=scores))
    assert cut.masks["a"].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 0]]


def test_outputs_with_little_left_keep_it_and_what_is_dead_stays_so() -> None:
    scores = {"a": torch.tensor([[-1.0, -2.0, -3.0, -4.0], [5.0, 6.0, 7.0, 8.0]])}
    masks = {"a": torch.tensor([[False, True, False, False], [True, True, True, False]])}
    cut = allocate("per_output", request(5 / 8, scores=scores, masks=masks))
    assert cut.masks["a"].int().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0]]


def test_outputs_may_lie_along_another_dimension() -> None:
    layer = nn.ConvTranspose2d(6, 4, 3, groups=2)
    masked = mask_layers(layer)
    scores = {"weight": layer.weight.detach().abs()}
    cut = allocate("per_output", Request(scores, masked.masks, 0.5, rows=masked.output_rows))
    masked.cut(cut.masks, optimizer=None)
    (rows,) = masked.masks_by_output.values()
    assert rows.shape[0] == 4
    assert (rows.sum(1) * 2 == rows.shape[1] - 1).any() or (rows.sum(1) * 2 == rows.shape[1]).all()
    assert int(rows.sum(1).max() - rows.sum(1).min()) <= 1


def test_global_reports_a_layer_that_it_emptied_and_a_floor_prevents_it() -> None:
    scores = {layer: weight.abs() for layer, weight in weights().items()}
    scores["fc1"] *= 1e-4
    assert allocate("global", request(0.9, scores=scores)).collapsed == ("fc1",)
    floored = allocate("global", request(0.9, scores=scores, layer_floor=0.05))
    assert floored.collapsed == ()
    assert int(floored.masks["fc1"].sum()) == 60
    assert kept(floored.masks) == TOTAL - pruned_count(0.9, TOTAL)


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_a_floor_above_the_target_is_refused_and_not_ignored(name: str) -> None:
    with pytest.raises(UsageError, match="layer_floor"):
        allocate(name, request(0.95, layer_floor=0.2))


def test_uniform_plus_refuses_a_sparsity_that_its_protected_layers_forbid() -> None:
    with pytest.raises(UsageError, match="must keep at least"):
        allocate("uniform_plus", request(0.99))


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_constant_scores_are_cut_exactly_and_the_same_every_time(name: str) -> None:
    scores = {layer: torch.ones(shape) for layer, shape in SHAPES.items()}
    first = allocate(name, request(0.5, scores=scores)).masks
    second = allocate(name, request(0.5, scores=scores)).masks
    assert kept(first) == TOTAL - pruned_count(0.5, TOTAL)
    assert all(torch.equal(first[layer], second[layer]) for layer in SHAPES)


def test_a_misspelt_allocation_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'uniform'"):
        allocate("unifrom", request(0.5))
    assert set(ALLOCATIONS) == {*ONE_NUMBER, "per_layer", "threshold"}
