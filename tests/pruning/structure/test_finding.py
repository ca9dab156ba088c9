"""Which channels go together, and that the network without them is the one where they are zero."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.cutting import alive_units, masks_of, with_companions
from study.pruning.structure.finding import prunable_units, separable_channels
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Structure
from tests.pruning.structure.networks import NETWORKS, network


def found(name: str) -> tuple[nn.Module, Tensor, list[Structure], dict[str, str]]:
    model, inputs = network(name)
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    return model, inputs, structures, reasons


def coupled(structure: Structure) -> tuple[int, set[str], set[str]]:
    made = {part.tensor for part in structure.of_role("writes")}
    return structure.units, made, {part.tensor for part in structure.of_role("reads")}


def test_a_sum_couples_all_that_is_added() -> None:
    _, _, structures, reasons = found("residual")
    assert [s.name for s in structures] == ["first", "second", "shortcut"]
    norm = {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    assert coupled(structures[1]) == (
        8,
        {"second.weight", "second.bias", "stem.weight", *norm},
        {"first.weight", "shortcut.weight", "down.weight"},
    )
    assert reasons == {"head": "nothing reads them: they are the network's outputs"}


def test_a_flat_image_has_many_entries_a_channel() -> None:
    _, _, structures, _ = found("residual")
    (read,) = structures[2].of_role("reads")
    assert read.tensor == "head.weight"
    assert read.dimension == 1
    assert read.unit_of.tolist() == [channel for channel in range(10) for _ in range(16)]


def test_a_concatenation_is_of_several_structures() -> None:
    _, _, structures, _ = found("concatenated")
    assert [s.units for s in structures] == [8, 4, 4]
    (norm,) = [p for p in structures[1].parts if p.tensor == "norm.weight"]
    assert norm.unit_of.tolist() == [-1] * 8 + [0, 1, 2, 3] + [-1] * 4


def test_channels_of_a_grouped_convolution_go_from_all_groups_together() -> None:
    _, _, structures, _ = found("gated")
    units = {s.name: s.units for s in structures}
    assert units == {"squeeze": 4, "depthwise": 4, "grouped": 3}


def test_channels_that_are_normalised_together_stay() -> None:
    _, _, structures, reasons = found("transformer")
    assert [s.name for s in structures] == ["0.layers.0.linear1", "0.layers.1.linear1"]
    assert any("LayerNorm" in reason for reason in reasons.values())


class FixedView(nn.Sequential):
    """Its code counts on a width."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self[1](self[0](x).view(-1, 8))
        return out


class MeanOverChannels(nn.Sequential):
    """What comes out depends on how many there are."""

    def forward(self, x: Tensor) -> Tensor:
        x = self[0](x).relu()
        out: Tensor = self[1](x - x.mean(1, keepdim=True))
        return out


class Best(nn.Sequential):
    """Of eight values three are read, whichever they are."""

    def __init__(self, first: nn.Linear, last: nn.Linear) -> None:
        super().__init__(first, nn.Linear(3, last.out_features))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self[1](self[0](x).topk(3, 1).values)
        return out


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (FixedView, "does not run"),
        (MeanOverChannels, "how many there are"),
        (Best, "takes fewer than there are"),
    ],
)
def test_channels_that_the_model_counts_on_stay_and_it_says_why(
    model: type[nn.Sequential], reason: str
) -> None:
    masked = mask_layers(model(nn.Linear(4, 8), nn.Linear(8, 2)))
    with pytest.raises(UsageError, match=reason):
        prunable_units(masked, lambda m: m(torch.randn(2, 4)), "channels")


class Behind(nn.Module):
    """A block of a transformer in which what is between its dense layers may see all of it."""

    def __init__(self, between: Callable[[Tensor], Tensor], std: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up, self.down, self.head = nn.Linear(6, 32), nn.Linear(32, 6), nn.Linear(6, 3)
        self.between = between
        for layer in (self.up, self.down, self.head):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.down(self.between(self.up(self.norm(x))))
        out: Tensor = self.head(x)
        return out


@pytest.mark.parametrize("std", [0.02, 0.002, 0.0])
@pytest.mark.parametrize(
    ("between", "is_separable"),
    [
        (nn.functional.gelu, True),
        (lambda h: (h - h.mean(-1, keepdim=True)).relu(), False),
        (lambda h: h.softmax(-1), False),
        (lambda h: h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-3), False),
    ],
    ids=["each alone", "less their mean", "softmax", "over their size"],
)
def test_weights_as_small_as_fresh_ones_hide_nothing(
    between: Callable[[Tensor], Tensor], is_separable: bool, std: float
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 5, 6)
    structures, reasons = separable_channels(Behind(between, std), lambda m: m(inputs))
    assert [s.name for s in structures] == (["up"] if is_separable else [])
    assert is_separable or "how many there are" in reasons["up"]


class Steep(Behind):
    """Finite with small weights alone."""

    def forward(self, x: Tensor) -> Tensor:
        return (200 * super().forward(x * 0.01)).exp()


def test_a_network_that_larger_weights_make_infinite_is_looked_at_with_its_own() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 5, 6)
    structures, _ = separable_channels(Steep(torch.relu, 0.02), lambda m: m(inputs))
    assert [s.name for s in structures] == ["up"]


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
@pytest.mark.parametrize("conv", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_padding_of_any_kind_mixes_no_channels(conv: type[nn.Conv2d], mode: str) -> None:
    model = nn.Sequential(
        conv(1, 4, 3, padding=1, padding_mode=mode), nn.ReLU(),
        conv(4, 6, 3, padding=1, padding_mode=mode), nn.ReLU(), conv(6, 2, 1),
    )  # fmt: skip
    inputs = torch.randn(2, 1, *[5] * (int(conv.__name__[4])))
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    assert [coupled(s) for s in structures] == [
        (4, {"0.weight", "0.bias"}, {"2.weight"}),
        (6, {"2.weight", "2.bias"}, {"4.weight"}),
    ]
    assert set(reasons) == {"4"}


def test_a_network_that_pads_circularly_has_the_channels_of_one_that_pads_with_zeros() -> None:
    model, inputs, structures, reasons = found("circular")
    assert {s.name: s.units for s in structures} == {"depthwise": 6, "back": 4}
    plain = deepcopy(model)
    for module in plain.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "zeros"
    same, its_reasons = separable_channels(plain, lambda m: m(inputs))
    assert [str(s) for s in structures] == [str(s) for s in same]
    assert reasons == its_reasons
    assert model.get_submodule("stem").padding_mode == "circular"


class Shared(nn.Module):
    """Three layers in a row; the first and the last have one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(6, 6) for _ in range(3))
        self.three.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.three(self.two(self.one(x).relu()).relu()).relu().sum(1)
        return out


def test_units_of_a_shared_weight_that_is_another_layers_too_stay() -> None:
    structures, reasons = separable_channels(Shared(), lambda m: m(torch.randn(3, 6)))
    assert not structures
    assert {"one", "two"} <= set(reasons)


class OneWeight(nn.Module):
    """Two layers with one weight; in each unit goes with others."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 8), nn.Linear(6, 8)
        self.other.weight = self.one.weight
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.cat([self.one(x).tanh(), self.other(x).sigmoid()], 1))
        return out


def test_units_of_a_weight_that_two_layers_share_stay() -> None:
    model, inputs = OneWeight().eval(), torch.randn(2, 6)
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    assert structures == []
    assert reasons["one"] == reasons["other"] == "one.weight is shared by 'one' and 'other'"


def test_a_weight_that_is_made_of_others_stays() -> None:
    first = nn.utils.parametrizations.weight_norm(nn.Linear(6, 8))
    model, inputs = nn.Sequential(first, nn.ReLU(), nn.Linear(8, 3)).eval(), torch.randn(2, 6)
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    assert structures == []
    assert "computed from other parameters" in reasons["0"]


def test_channels_of_a_layer_that_is_left_out_stay() -> None:
    model, inputs = network("residual")
    masked = mask_layers(model, exclude="stem")
    names = [s.name for s in prunable_units(masked, lambda m: m(inputs), "channels")]
    assert names == ["first", "shortcut"]


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_the_network_without_units_is_the_one_where_they_are_zero(name: str, seed: int) -> None:
    model, inputs, structures, _ = found(name)
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 1:
            tensor.data += torch.rand(tensor.shape, generator=generator) / 3
    masked = with_companions(mask_layers(model), structures)
    alive = {s.name: torch.rand(s.units, generator=generator) < 0.6 for s in structures}
    for units in alive.values():
        units[0] = True
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    left = alive_units(masked, structures)
    assert all(bool((left[name] == alive[name]).all()) for name in alive)
    small = deepcopy(model)
    mask_layers(small).remove()
    slice_model(small, places_left(structures, alive))
    torch.testing.assert_close(small(inputs), model(inputs), rtol=1e-4, atol=1e-5)
    for structure in structures:
        for part in structure.of_role("writes"):
            values = {**dict(small.named_parameters()), **dict(small.named_buffers())}
            kept = int(part.kept(alive[structure.name]).sum())
            assert values[part.tensor].shape[part.dimension] <= kept


def test_companions_stay_zero_in_training_and_do_not_count_as_pruned_weights() -> None:
    model, inputs, structures, _ = found("residual")
    masked = with_companions(mask_layers(model), structures)
    total = sum(masked.total.values())
    alive = {s.name: torch.arange(s.units) % 2 == 0 for s in structures}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    masked.cut(masks_of(masked, structures, alive), optimizer=optimizer)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()
    assert sum(masked.total.values()) == total
    assert set(masked.companions) == {
        "norm.weight", "norm.bias", "first.bias", "second.bias", "shortcut.bias", "down.bias",
    }  # fmt: skip
    state = model.state_dict()
    for name in ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
        assert bool((state[name][1::2] == 0).all())
        assert bool((state[name][::2] != 0).all())
