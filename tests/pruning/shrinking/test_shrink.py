"""The smaller network computes the same, and nothing dead is left in it."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import mask_layers, shrink
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.slicing import put
from study.pruning.structure.units import Part
from study.tasks.data.structures import leaves
from study.tasks.forward import call
from tests.pruning.shrinking.networks import NETWORKS, Normalised, SeveralInputs, pruned


def entries(model: nn.Module, part: Part, unit: int) -> Tensor:
    """What belongs to a unit, of a parameter or buffer."""
    return model.state_dict()[part.tensor].index_select(
        part.dimension, (part.unit_of == unit).nonzero().flatten()
    )


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), sparsity=st.sampled_from([0.6, 0.85, 0.95, 0.97, 0.99]))
def test_outputs_are_the_same_and_nothing_dead_is_left(
    name: str, seed: int, sparsity: float
) -> None:
    model, inputs = pruned(name, seed, sparsity)
    before = deepcopy(model.state_dict())
    shrunk = shrink(model, inputs)
    with torch.no_grad():
        whole, small = leaves(call(model, inputs)), leaves(call(shrunk.model, inputs))
    for a, b in zip(whole, small, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-5 * float(a.abs().max()))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    again = shrink(shrunk.model, inputs)
    assert not again.removed
    assert not again.places
    structures, _ = separable_channels(shrunk.model, lambda m: call(m, inputs))
    for structure in structures:
        for unit in range(structure.units):
            makes = [
                p for p in structure.of_role("writes") if entries(shrunk.model, p, 0).dim() > 1
            ]
            made = any(bool(entries(shrunk.model, p, unit).any()) for p in makes)
            reads = structure.of_role("reads")
            read = any(bool(entries(shrunk.model, p, unit).any()) for p in reads)
            reason = again.kept_because.get(structure.name, "")
            assert (made and read) or "unit" in reason or "output" in reason


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_left_lies_at_its_places_in_the_original(name: str) -> None:
    model, inputs = pruned(name, 1, 0.9)
    shrunk = shrink(model, inputs)
    original, small = model.state_dict(), shrunk.model.state_dict()
    for tensor, part in small.items():
        along = shrunk.places.get(tensor, {})
        if tensor not in original:
            assert tensor.endswith("bias")
            continue
        left = torch.zeros_like(original[tensor], dtype=torch.bool)
        put(left, along, torch.ones_like(part, dtype=torch.bool))
        back = original[tensor].clone()
        put(back, along, part)
        if not tensor.rpartition(".")[2].startswith("bias"):
            assert torch.equal(back, original[tensor])
        sizes = [len(along.get(d, range(size))) for d, size in enumerate(left.shape)]
        assert list(part.shape) == sizes
        assert int(left.sum()) == part.numel()
    for structure, units in shrunk.removed.items():
        assert len(set(units)) == len(units)
        assert original[f"{structure}.weight"].shape != small[f"{structure}.weight"].shape


def chain() -> nn.Sequential:
    """Unit 1 of three is dead, and sends sigmoid(0.5) on; unit 2 lives, and nothing reads it."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2, bias=False))
    model[0].weight.data = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]])
    model[0].bias.data = torch.tensor([0.1, 0.5, 0.2])
    model[2].weight.data = torch.tensor([[1.0, 2.0, 0.0], [4.0, -1.0, 0.0]])
    return model


def test_a_constant_becomes_a_bias_and_an_unread_unit_goes() -> None:
    shrunk = shrink(chain(), torch.randn(5, 2))
    assert shrunk.removed == {"0": (1, 2)}
    assert shrunk.places["2.weight"][1].tolist() == [0]
    assert shrunk.model[0].weight.tolist() == [[1.0, 2.0]]
    constant = torch.tensor(0.5).sigmoid()
    torch.testing.assert_close(
        shrunk.model[2].bias.detach(), torch.stack([2 * constant, -constant])
    )
    assert (shrunk.model[0].out_features, shrunk.model[2].in_features) == (1, 1)


def test_masks_are_taken_off_and_their_zeros_stay() -> None:
    model = chain().train()
    masked = mask_layers(model)
    masked.cut({"0": torch.tensor([[True, False], [False] * 2, [True] * 2])}, optimizer=None)
    shrunk = shrink(model, torch.randn(5, 2))
    assert not shrunk.model.training
    assert model.training
    assert list(masked.names) == ["0", "2"]
    assert set(shrunk.model.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert shrunk.model[0].weight.tolist() == [[1.0, 0.0]]


def convolutions(**options: object) -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.Conv2d(3, 2, 3, **options),  # type: ignore[arg-type]
        nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip
    model(torch.zeros(1, 1, 8, 8))
    model[0].weight.data[1] = 0
    return model


@pytest.mark.parametrize(
    ("options", "goes"),
    [
        ({}, True),
        ({"padding": 1}, False),
        ({"padding": "same"}, False),
        ({"padding": 1, "padding_mode": "reflect"}, True),
        ({"stride": 2, "bias": False}, True),
    ],
)
def test_before_a_convolution_that_pads_with_zeros_a_constant_stays(
    options: dict[str, object], goes: bool
) -> None:
    shrunk = shrink(convolutions(**options), torch.randn(2, 1, 8, 8))
    assert shrunk.removed == ({"0": (1,)} if goes else {})
    assert ("'2', which it sends" in shrunk.kept_because.get("0", "")) is not goes


def test_a_constant_zero_may_be_padded() -> None:
    model = convolutions(padding=1)
    model[1] = nn.ReLU()
    model[0].bias.data[1] = -1.0
    assert shrink(model, torch.randn(2, 1, 8, 8)).removed == {"0": (1,)}


def test_the_last_unit_stays() -> None:
    model = chain()
    model[2].weight.data[:] = 0
    shrunk = shrink(model, torch.randn(5, 2))
    assert shrunk.removed == {"0": (1, 2)}
    assert shrunk.kept_because["0"] == "there is only one"


def test_one_that_goes_takes_those_along_that_only_it_kept() -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    model[1].weight.data[1] = 0  # dead: its column in 2 goes ...
    model[2].weight.data[3] = torch.tensor([0.0, 2.0, 0.0, 0.0])  # ... which is all that made this
    model[2].weight.data[:, 2] = 0  # and what nothing reads ...
    model[0].weight.data[:, 0] = 0
    model[1].weight.data[:, 0] = torch.tensor([0.0, 0.0, 1.0, 0.0])  # ... is all that read this
    shrunk = shrink(model, torch.randn(5, 4))
    assert shrunk.removed == {"0": (0,), "1": (1, 2), "2": (3,)}


def test_a_layer_that_is_called_twice_with_other_constants_keeps_them_apart() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.reader, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            out: Tensor = self.head(self.reader(x) + self.reader(x + 1).relu())
            return out

    model = Twice()
    model.first.weight.data[2] = 0
    shrunk = shrink(model, torch.randn(5, 3))
    assert not shrunk.removed
    assert "differs between positions, examples or calls" in shrunk.kept_because["first"]


def test_what_a_constant_does_beside_its_readers_keeps_it() -> None:
    torch.manual_seed(0)
    model = Normalised()
    model.first.weight.data[2] = 0
    model.second.weight.data[3] = 0
    shrunk = shrink(model, torch.randn(4, 6))
    assert shrunk.removed == {"second": (3,)}
    assert "first" in shrunk.kept_because


def test_an_lstm_takes_constants_into_both_directions() -> None:
    class Recurrent(nn.Module):
        def __init__(self, bias: bool) -> None:
            super().__init__()
            self.before = nn.Linear(3, 5)
            self.lstm = nn.LSTM(5, 4, bidirectional=True, batch_first=True, bias=bias)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.lstm(self.before(x).sigmoid())[0]
            return out

    for bias in (True, False):
        model = Recurrent(bias)
        model.before.weight.data[1] = 0
        shrunk = shrink(model, torch.randn(2, 6, 3))
        assert shrunk.removed == ({"before": (1,)} if bias else {})
        assert ("no bias that could take it" in shrunk.kept_because.get("before", "")) is not bias


def test_a_function_may_say_how_the_model_is_run() -> None:
    torch.manual_seed(0)
    model = SeveralInputs()
    model.mixed.weight.data[5] = 0
    table, image = torch.randn(3, 5), torch.randn(3, 2, 6)
    shrunk = shrink(model, lambda m: m(image=image, table=table))
    assert shrunk.removed == {"mixed": (5,)}
    assert shrink(model, (table, image)).removed == shrunk.removed


def test_a_model_whose_outputs_are_drawn_is_refused() -> None:
    class Drawn(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.rand(1)  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match=r"output 0 differs by .* gives other outputs each time"):
        shrink(Drawn(nn.Linear(2, 3), nn.Linear(3, 2)), torch.randn(4, 2))


class Masked(nn.Module):
    """What a dead unit sends on depends on a second input, or on a length."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.second, self.how = nn.Linear(4, 6), nn.Linear(6, 2), how

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.first(x).relu()
        if self.how == "mask":
            x = x * mask[..., None]
        elif self.how == "length":
            x = x.sum(1)
        else:
            x = x * (mask[..., None] > 0)
        out: Tensor = self.second(x)
        return out


@pytest.mark.parametrize("how", ["mask", "length", "sign"])
def test_what_is_constant_in_the_example_alone_is_not_folded(how: str) -> None:
    torch.manual_seed(0)
    model = Masked(how).eval()
    with torch.no_grad():
        model.first.weight[1] = 0.0
        model.first.bias[1] = 1.0
    small = shrink(model, (torch.randn(2, 5, 4), torch.ones(2, 5))).model
    other = torch.randn(3, 9, 4), (torch.rand(3, 9) > 0.5).float()
    torch.testing.assert_close(small(*other), model(*other), rtol=1e-4, atol=1e-5)


def test_a_function_that_runs_the_model_can_be_tried_on_no_other_input() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[0].weight[1] = 0.0  # type: ignore[index]
        model[0].bias[1] = 1.0  # type: ignore[index]
    x = torch.randn(2, 4)
    found = shrink(model, lambda m: m(x))
    assert found.model[0].out_features == 6  # type: ignore[index]
    assert "one input alone" in found.kept_because["0"]
    assert shrink(model, x).model[0].out_features == 5  # type: ignore[index]


def headed(read: bool, bias: float = 0.0) -> nn.TransformerEncoderLayer:
    """Head 1 of 4 is zero where it is made, and perhaps where it is read."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    rows = torch.cat([torch.arange(first + 4, first + 8) for first in (0, 16, 32)])
    with torch.no_grad():
        layer.self_attn.in_proj_weight[rows] = 0.0
        layer.self_attn.in_proj_bias[rows] = bias
        if not read:
            layer.self_attn.out_proj.weight[:, 4:8] = 0.0
    return layer


@pytest.mark.parametrize("read", [False, True])
def test_a_dead_head_goes_and_is_counted_by_its_attention(read: bool) -> None:
    model = headed(read)
    found = shrink(model, torch.randn(2, 5, 16))
    assert found.removed == {"self_attn": (1,)}
    assert found.model.self_attn.in_proj_weight.shape == (36, 16)
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(found.model(x), model(x))


def test_a_head_whose_bias_is_read_stays_and_it_is_said() -> None:
    found = shrink(headed(read=True, bias=0.5), torch.randn(2, 5, 16))
    assert not found.removed
    assert found.kept_because["self_attn"].startswith("unit 1: 'self_attn.out_proj', which reads")


def test_what_the_heads_of_an_attention_of_dense_layers_send_is_followed() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head_dim = 4
            self.q_proj, self.k_proj = nn.Linear(16, 16), nn.Linear(16, 16)
            self.v_proj, self.out_proj = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = (
                each(x).unflatten(-1, (-1, 4)).transpose(1, 2)
                for each in (self.q_proj, self.k_proj, self.v_proj)
            )
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
            return out

    torch.manual_seed(0)
    model = Attention().eval()
    with torch.no_grad():
        for layer in (model.q_proj, model.k_proj, model.v_proj):
            layer.weight[4:8] = 0.0
        model.v_proj.bias[4:8] = 0.0
    found = shrink(nn.Sequential(model), torch.randn(2, 5, 16))
    assert found.removed == {"0": (1,)}
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(found.model(x), model(x))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_hidden_units_that_are_zero_everywhere_stay_and_it_is_said(kind: type[nn.RNNBase]) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.r, self.f = kind(8, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.f(self.r(x)[0])
            return out

    model = Recurrent().eval()
    with torch.no_grad():
        for parameter in model.r.parameters():
            parameter.unflatten(0, (-1, 16))[:, 0] = 0.0
    found = shrink(model, torch.randn(2, 5, 8))
    assert not found.removed
    assert found.kept_because["r"].startswith(
        f"hidden units of a recurrent layer ({kind.__name__})"
    )


def test_what_only_another_length_shows_is_tried() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.f = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = self.a(x)
            out: Tensor = self.f(h if x.shape[1] < 8 else 3 * h)
            return out

    model = Long().eval()
    with torch.no_grad():
        model.a.weight[0] = 0.0
    found = shrink(model, torch.randn(2, 5, 4))
    assert not found.removed
    assert "differs between positions, examples or calls" in found.kept_because["a"]
