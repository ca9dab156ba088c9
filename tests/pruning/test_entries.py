"""Pipelines that remove blocks, or all but n of each m, or units first and then entries."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import PruningPlan, run_pipeline
from study.pruning.entries import cut_entries
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.pipeline import Pipeline
from study.pruning.rehearsal.plans import rehearse_plans
from study.pruning.scoring import Scoring
from study.pruning.selection.ranking import pruned_count
from study.pruning.selection.regular_masks import n_of_m
from study.pruning.shrinking.deployed import deployed
from study.pruning.states.state_files import progress_from_bytes
from study.pruning.structure.cutting import alive_units, room_left
from study.records import RoundRecord
from tests.pruning.test_pipeline import Keeper, facts
from tests.pruning.tiny import tiny_task

PATTERNS = ((2, 4), (1, 4), (4, 8), (3, 4))


class Wide(nn.Module):
    """Two convolutions and two dense layers, of which one has inputs of no even number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.fc1 = nn.Linear(8 * 36, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv2(torch.relu(self.norm(self.conv1(x)))))
        out: Tensor = self.fc2(torch.relu(self.fc1(x.flatten(1))))
        return out


def wide(**recipe: object) -> Any:
    return tiny_task(model=Wide, **recipe)


def plan(structure: Any, **fields: Any) -> PruningPlan:
    return PruningPlan.model_validate(
        {"structure": structure, "rounds": 3, "retrain_epochs": 1, **fields}
    )


def by_hand(values: Tensor, m: int) -> list[list[float]]:
    """Every group of m inputs, one by one, of a weight in torch's usual layout."""
    outputs, inputs, *kernel = values.shape
    return [
        [float(values[(out, first + i, *place)]) for i in range(m) if first + i < inputs]
        for out in range(outputs)
        for place in itertools.product(*map(range, kernel))
        for first in range(0, inputs, m)
    ]


class Masks(Keeper):
    """Keeps the masks of every round too."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[dict[str, Tensor]] = []

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Any]
    ) -> None:
        super().round_finished(record, masked, progress)
        self.masks.append({name: mask.clone() for name, mask in masked.masks.items()})


def shrinks(masks: list[dict[str, Tensor]]) -> bool:
    """Whether what is pruned stays so."""
    return all(
        not bool((later[name] & ~mask).any())
        for one, later in itertools.pairwise(masks)
        for name, mask in one.items()
    )


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("schedule", ["geometric", "constant"])
def test_a_pattern_holds_after_the_last_round_and_rounds_go_there_evenly(
    pattern: tuple[int, int], schedule: str
) -> None:
    n, m = pattern
    keeper, asked = Masks(), plan(f"{n}:{m}", schedule=schedule, exclude=["conv1"])
    records = list(run_pipeline(asked, wide(), observer=keeper))
    for record in records:
        level = asked.sparsity_at(record.round)
        assert isinstance(level, float)
        assert record.requested_sparsity == level
        for layer in record.layers:
            assert layer.kept == layer.total - pruned_count(level, layer.total)
    assert records[-1].density == n / m
    assert shrinks(keeper.masks)
    for weight in keeper.weights[-1].values():
        assert all(sum(w != 0 for w in group) <= n for group in by_hand(weight, m))


@pytest.mark.parametrize("saliency", ["gradient", "movement", "random", "wanda", "obs"])
def test_every_saliency_of_weights_can_fill_a_pattern(saliency: str) -> None:
    keeper = Masks()
    asked = plan("2:4", saliency=saliency, rounds=2, exclude=["conv1"])
    (*_, last) = run_pipeline(asked, wide(), observer=keeper)
    assert last.density == 0.5
    for mask in keeper.masks[-1].values():
        assert all(sum(group) == 2 for group in by_hand(mask, 4))


def entries_of(asked: PruningPlan, model: nn.Module, round_: int) -> dict[str, Tensor]:
    """What a cut by magnitude leaves of a model that was not pruned before."""
    masked = mask_layers(model)
    scoring = Scoring(asked, wide(), masked, {}, round_)
    return cut_entries(asked, round_, masked, scoring, None, masked.masks, None).masks


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([nn.Conv2d, nn.ConvTranspose2d, nn.Linear]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(PATTERNS),
    st.integers(0, 9),
)
def test_groups_are_of_inputs_whatever_the_layer(
    kind: type[nn.Module], outputs: int, groups: int, pattern: tuple[int, int], seed: int
) -> None:
    n, m = pattern
    torch.manual_seed(seed)
    inputs = groups * m
    layer = kind(inputs, outputs) if kind is nn.Linear else kind(inputs, outputs, 2)  # type: ignore[call-arg]
    found = entries_of(plan(f"{n}:{m}", rounds=1), nn.Sequential(layer), 1)["0"]
    weight: Tensor = layer.weight.detach()  # type: ignore[assignment, operator]
    if kind is nn.ConvTranspose2d:
        weight, found = weight.transpose(0, 1), found.transpose(0, 1)
    sizes, kept = by_hand(weight.abs(), m), by_hand(found, m)
    for own, mask in zip(sizes, kept, strict=True):
        best = sorted(range(m), key=lambda i: -own[i])[:n]
        assert [bool(each) for each in mask] == [i in best for i in range(m)]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["global", "uniform", "lamp", "knapsack"]),
    st.sampled_from([(4, 4), (1, 4), (4, 1), (2, 8)]),
    st.floats(0.05, 0.85),  # beyond, a knapsack must keep more: a block of each layer
    st.integers(0, 9),
)
def test_blocks_go_whole_and_as_many_as_were_asked_for(
    allocation: str, block: tuple[int, int], sparsity: float, seed: int
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 12), nn.Conv2d(8, 4, 2))
    asked = plan("blocks", block=block, sparsity=sparsity, allocation=allocation, rounds=1)
    found = entries_of(asked, model, 1)
    rows, columns = block
    whole, kept, sums = 0, 0, []
    for name, mask in found.items():
        weight = mask_layers(model).weights[name].detach().abs()
        for place in itertools.product(*map(range, mask.shape[2:])):
            at = (slice(None), slice(None), *place)
            for r, c in itertools.product(
                range(0, mask.shape[0], rows), range(0, mask.shape[1], columns)
            ):
                part = mask[at][r : r + rows, c : c + columns]
                assert part.all() or not part.any()
                whole, kept = whole + 1, kept + int(part.all())
                size = float(weight[at][r : r + rows, c : c + columns].double().sum())
                sums.append((size, bool(part.all())))
    if allocation == "uniform":
        assert abs(kept - whole * (1 - sparsity)) <= len(found)
    else:
        assert kept == whole - pruned_count(sparsity, whole)
    if allocation == "global" and 0 < kept < whole:
        assert min(s for s, stays in sums if stays) >= max(s for s, stays in sums if not stays)


def test_blocks_go_round_by_round() -> None:
    keeper = Masks()
    asked = plan("blocks", block=[8, 4], sparsity=0.8, exclude=["conv1", "fc2"], allocation="lamp")
    records = list(run_pipeline(asked, wide(), observer=keeper))
    assert shrinks(keeper.masks)
    blocks = (8 * 8 * 9 + 16 * 288) // 32
    for record in records:
        kept = sum(layer.kept for layer in record.layers)
        assert kept == 32 * (blocks - pruned_count(record.requested_sparsity, blocks))


def test_units_go_up_to_their_sparsity_and_single_weights_make_up_the_rest() -> None:
    asked = plan("channels+weights", sparsity=0.9, unit_sparsity=0.4, rounds=5, allocation="lamp")
    pipeline = Pipeline(asked, wide(), None)
    masks, left = [], []
    for record in pipeline.rounds(None):
        level = asked.sparsity_at(record.round)
        assert isinstance(level, float)
        assert record.requested_sparsity == level
        alive = alive_units(pipeline.masked, pipeline.structures)
        room = room_left(pipeline.masked, pipeline.structures, alive)
        masks.append({name: mask.clone() for name, mask in pipeline.masked.masks.items()})
        left.append(sum(int(own.sum()) for own in room.values()))
        if level > 0.4:  # single weights are fine enough for it
            total = record.prunable_parameters
            kept = sum(layer.kept for layer in record.layers)
            assert kept == total - pruned_count(level, total)
        elif record.round:
            assert record.sparsity >= level
            assert sum(layer.kept for layer in record.layers) == left[-1]
    assert shrinks(masks)
    whole, largest = left[0], 16 * 36 + 2 * 72  # the weights of a channel of conv2, and more
    assert whole * 0.6 - largest <= left[-1] <= whole * 0.6
    assert left[2:] == [left[2]] * 4  # 0.4 is passed in the second round


MIXED = [
    plan("channels+weights", sparsity=0.9, unit_sparsity=0.4),
    plan("channels+weights", sparsity=0.8, budget="macs", allocation="knapsack"),
    plan({"conv*": "channels", "fc*": "weights"}, sparsity=0.9, unit_sparsity=0.4),
    plan({"conv*": "channels", "fc*": "2:4"}, width_multiple=4, unit_sparsity=0.4),
    plan("units+1:4", width_multiple=4, unit_sparsity=0.4, include=["conv2", "fc*"]),
]


@pytest.mark.parametrize("asked", MIXED, ids=lambda each: str(each.structure))
def test_the_smaller_network_gives_what_the_masked_one_gives(asked: PruningPlan) -> None:
    task = wide()
    pipeline = Pipeline(asked, task, None)
    (*_, last) = pipeline.rounds(None)
    inputs = task.data.train.inputs[:5]
    small = deployed(task, pipeline.masked, pipeline.structures)
    expected = pipeline.model.eval()(inputs)
    torch.testing.assert_close(small(inputs), expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in small.parameters()) < last.total_parameters
    if asked.removal.pattern is not None:
        n, m = asked.removal.pattern
        weight = small.get_parameter("fc1.weight").detach()
        assert all(sum(w != 0 for w in group) <= n for group in by_hand(weight, m))
        assert weight.shape[1] % m == 0


@pytest.mark.parametrize("asked", MIXED, ids=lambda each: str(each.structure))
def test_a_mixed_run_goes_on_bit_for_bit_from_any_checkpoint(asked: PruningPlan) -> None:
    keeper = Masks()
    whole = [facts(record) for record in run_pipeline(asked, wide(), observer=keeper)]
    assert shrinks(keeper.masks)
    for data in keeper.after[:-1]:
        resumed = [facts(r) for r in run_pipeline(asked, wide(), progress_from_bytes(data))]
        assert resumed == whole[-len(resumed) :]


def test_by_a_table_each_layer_loses_what_it_says() -> None:
    asked = plan({"conv*": "channels", "fc*": "2:4"}, width_multiple=4, unit_sparsity=0.4)
    keeper = Masks()
    (*_, last) = run_pipeline(asked, wide(), observer=keeper)
    layers = {layer.layer: layer for layer in last.layers}
    assert layers["conv1"].dead_outputs + layers["conv2"].dead_outputs > 0
    for name in ("conv1", "conv2"):  # rows and columns go whole
        mask = keeper.masks[-1][name].float().mean(dim=(2, 3))
        assert set(mask.flatten().tolist()) <= {0.0, 1.0}
    living = layers["fc1"].outputs * 36 * (8 - layers["conv2"].dead_outputs)
    assert layers["fc1"].dead_outputs == 0
    assert layers["fc1"].kept == living // 2
    assert layers["fc2"].kept == layers["fc2"].total // 2
    assert torch.isnan(torch.tensor(last.requested_sparsity))


@pytest.mark.parametrize("structure", ["2:4", "blocks", "channels+weights"])
def test_a_prefix_cuts_what_the_first_rounds_cut(structure: str) -> None:
    fields = {} if structure == "2:4" else {"sparsity": 0.8}
    left = [] if structure == "channels+weights" else ["conv1", "fc2"]
    whole = plan(structure, exclude=left, **fields)
    short = whole.prefix(2)
    assert short is not None
    first = [record.mask_hash for record in run_pipeline(whole, wide())][:3]
    assert [record.mask_hash for record in run_pipeline(short, wide())] == first


@pytest.mark.parametrize("structure", ["2:4", "blocks", "channels+weights"])
def test_shuffled_masks_have_the_same_form_and_count(structure: str) -> None:
    fields = {} if structure == "2:4" else {"sparsity": 0.8}
    asked = plan(structure, exclude=["conv1", "fc2"], allocation="uniform", **fields)
    keeper = Masks()
    (*_, own) = run_pipeline(asked, wide())
    (*_, drawn) = run_pipeline(
        asked.model_copy(update={"shuffle_masks": True}), wide(), observer=keeper
    )
    assert drawn.mask_hash != own.mask_hash
    assert drawn.sparsity == pytest.approx(own.sparsity, abs=0.02)
    if structure == "2:4":
        assert all(sum(g) == 2 for m in keeper.masks[-1].values() for g in by_hand(m, 4))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"structure": "2:4"},
            r"2:4 needs inputs in multiples of 4, which conv1 \(8 outputs, 1 inputs\) have not. "
            r'Leave them whole: exclude = \["conv1"\]',
        ),
        (
            {"structure": "blocks", "sparsity": 0.5},
            r'conv1 \(8 outputs, 1 inputs\), fc2 \(3 outputs, 16 inputs\).*\["conv1", "fc2"\]',
        ),
        ({"structure": {"conv*": "channels"}, "sparsity": 0.5}, "says nothing of fc1, fc2"),
        ({"structure": {"cnv*": "channels"}, "sparsity": 0.5}, "layer 'cnv\\*' is unknown"),
        (
            {"structure": "channels+weights", "sparsity": 0.9, "saliency": "l2"},
            "'l2' scores units alone, and structure channels.weights removes entries",
        ),
        (
            {"structure": "channels+weights", "sparsity": 0.9999, "unit_sparsity": 0.999},
            r"^unit_sparsity 0\.999: taking out channels leaves",
        ),
        (
            {"structure": {"fc2": "channels", "*": "weights"}, "sparsity": 0.9},
            "no channels of the model can be taken out.*is to lose no channels",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_dense_run(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Pipeline(PruningPlan.model_validate(fields), wide(), None)


def test_layers_that_would_have_to_lose_everything_are_found_in_the_rehearsal() -> None:
    asked = plan({"fc2": "weights", "*": "channels"}, sparsity=0.6, unit_sparsity=0.3)
    with pytest.raises(UsageError, match="the others would have to lose everything"):
        rehearse_plans(wide(), [asked])


def test_two_of_four_stay_two_of_four_after_units_went() -> None:
    """Groups are of what lies side by side in the smaller network, not in the dense one."""
    task = wide()
    asked = plan("channels+2:4", width_multiple=4, unit_sparsity=0.3, include=["conv2", "fc*"])
    pipeline = Pipeline(asked, task, None)
    list(pipeline.rounds(None))
    mask = pipeline.masked.masks["conv2"]
    alive = [i for i in range(8) if bool(mask[:, i].any())]
    rows = [o for o in range(8) if bool(mask[o].any())]
    narrow = mask[rows][:, alive]
    assert torch.equal(n_of_m(narrow.float(), narrow, 2, 4), narrow)
    assert int(narrow.sum()) == narrow.numel() // 2
