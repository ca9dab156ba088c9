import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from study.pruning.cost import DenseCost, dead_outputs, dense_cost, masked_cost
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers


def cost_of(masked: MaskedLayers, *example: Tensor) -> DenseCost:
    return dense_cost(masked, lambda model, _: model(*example))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, groups=4, dilation=2)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(torch.relu(self.norm(self.conv1(x))))
        out: Tensor = self.fc(x.mean((2, 3)))
        return out


def test_macs_are_those_of_the_textbook_with_padding_stride_groups_and_dilation() -> None:
    masked = mask_layers(Convolutions())
    cost = cost_of(masked, torch.zeros(1, 3, 16, 16))
    assert cost.macs_by_layer == {
        "conv1": 8 * 8 * 8 * 3 * 5 * 5,
        "conv2": 4 * 4 * 16 * (8 // 4) * 3 * 3,
        "fc": 160,
    }
    assert cost.other_macs == 0
    assert cost.uncounted == ()
    assert masked.model.training


def test_masked_macs_are_dense_ones_times_density_layer_by_layer() -> None:
    masked = mask_layers(Convolutions())
    dense = cost_of(masked, torch.zeros(1, 3, 16, 16))
    masks = masked.masks
    masks["conv1"] = torch.zeros_like(masks["conv1"])
    masks["conv1"][:4] = True
    masks["fc"] = torch.zeros_like(masks["fc"])
    masks["fc"][0] = True
    masked.cut(masks, optimizer=None)
    cost = masked_cost(masked, dense)
    total = 8 * 75 + 16 + 16 * 18 + 16 + 160 + 10
    assert cost.macs == 38400 / 2 + 4608 + 16
    assert cost.dense_macs == 38400 + 4608 + 160
    assert cost.theoretical_speedup == pytest.approx(cost.dense_macs / cost.macs)
    assert cost.total_parameters == total
    assert cost.nonzero_parameters == total - 4 * 75 - 144
    assert cost.compression_ratio == total / (total - 444)
    assert cost.density == pytest.approx((8 * 75 + 288 + 160 - 444) / (8 * 75 + 288 + 160))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x, _ = self.attention(x, x, x)
        out: Tensor = self.head(x)
        return out


def test_attention_and_tied_weights_are_credited_to_the_weight_they_read() -> None:
    masked = mask_layers(Attention())
    cost = cost_of(masked, torch.zeros(1, 6, dtype=torch.long))
    assert cost.macs_by_layer["attention.in_proj_weight"] == 6 * 8 * 24
    assert cost.macs_by_layer["attention.out_proj"] == 6 * 8 * 8
    assert cost.macs_by_layer["embedding"] == 6 * 8 * 20
    assert cost.other_macs == 2 * (2 * 6 * 6 * 4)


def prune(masked: MaskedLayers, density: float) -> None:
    """Each layer to the same density, in its first weights."""
    masks = {}
    for name, mask in masked.masks.items():
        masks[name] = (torch.arange(mask.numel()) < round(density * mask.numel())).view_as(mask)
    masked.cut(masks, optimizer=None)


@pytest.mark.parametrize("need_weights", [False, True])
def test_attentions_own_products_are_counted_and_cannot_be_pruned_away(need_weights: bool) -> None:
    length, width, heads = 128, 64, 4
    attention = nn.MultiheadAttention(width, heads, batch_first=True)
    masked = mask_layers(attention)
    example = torch.zeros(1, length, width)
    dense = dense_cost(masked, lambda m, _: m(*[example] * 3, need_weights=need_weights))
    assert dense.other_macs == 2 * length * length * width == 2_097_152
    assert sum(dense.macs_by_layer.values()) == 4 * length * width * width
    prune(masked, 0.05)
    cost = masked_cost(masked, dense)
    kept = sum(masked.kept.values())
    assert cost.macs == pytest.approx(length * kept + 2 * length * length * width)
    assert cost.theoretical_speedup == pytest.approx(2 / (1 + 0.05), rel=1e-3)


class Queries(nn.Module):
    """Attention of more queries than keys, with fewer heads of keys and wide values."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 4 * 6)
        self.backend_mask: Tensor | None = None

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries = self.query(x).unflatten(-1, (4, 6)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=self.backend_mask, enable_gqa=True
        )


@pytest.mark.parametrize("wide_values", [6, 10])
@pytest.mark.parametrize("kind", [None, torch.zeros(7, 5), torch.zeros(7, 5, requires_grad=True)])
def test_attention_is_counted_whatever_way_torch_takes(
    kind: Tensor | None, wide_values: int
) -> None:
    model = Queries()
    model.backend_mask = kind
    keys, values = torch.zeros(1, 2, 5, 6), torch.zeros(1, 2, 5, wide_values)
    cost = cost_of(mask_layers(model), torch.zeros(1, 7, 8), keys, values)
    assert cost.other_macs == 4 * 7 * 5 * 6 + 4 * 7 * 5 * wide_values
    assert cost.macs_by_layer == {"query": 7 * 8 * 24}


def test_a_transformers_encoder_costs_what_its_formula_says() -> None:
    length, width, hidden = 10, 16, 32
    layer = nn.TransformerEncoderLayer(width, 2, hidden, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    cost = cost_of(mask_layers(model), torch.zeros(1, length, width))
    weights = 2 * (4 * width * width + 2 * width * hidden)
    assert sum(cost.macs_by_layer.values()) == length * weights
    assert cost.other_macs == 2 * (2 * length * length * width)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_recurrent_layer_costs_its_gates_at_each_step(
    kind: type[nn.RNNBase], gates: int, directions: int, layers: int, batch_first: bool
) -> None:
    steps, width, hidden = 7, 5, 6
    model = kind(
        width, hidden, num_layers=layers, bidirectional=directions == 2, batch_first=batch_first
    )
    example = torch.zeros(1, steps, width) if batch_first else torch.zeros(steps, 1, width)
    cost = cost_of(mask_layers(model), example)
    expected = {}
    for layer in range(layers):
        for direction in ("", "_reverse")[:directions]:
            inputs = width if layer == 0 else directions * hidden
            expected[f"weight_ih_l{layer}{direction}"] = steps * gates * hidden * inputs
            expected[f"weight_hh_l{layer}{direction}"] = steps * gates * hidden * hidden
    assert cost.macs_by_layer == expected
    assert cost.other_macs == 0
    assert cost.uncounted == ()


def test_a_projected_lstm_costs_its_projection_too() -> None:
    model = nn.LSTM(5, 6, proj_size=2)
    cost = cost_of(mask_layers(model), torch.zeros(7, 1, 5))
    assert cost.macs_by_layer == {
        "weight_ih_l0": 7 * 4 * 6 * 5,
        "weight_hh_l0": 7 * 4 * 6 * 2,
        "weight_hr_l0": 7 * 2 * 6,
    }


def test_a_packed_sequence_costs_the_steps_that_it_has() -> None:
    packed = nn.utils.rnn.pack_sequence([torch.zeros(7, 5), torch.zeros(3, 5)])
    cost = dense_cost(mask_layers(nn.LSTM(5, 6)), lambda model, _: model(packed))
    assert cost.macs_by_layer["weight_hh_l0"] == (7 + 3) * 4 * 6 * 6


def test_where_one_example_cannot_be_run_half_of_two_is_counted() -> None:
    def run(model: nn.Module, examples: int) -> object:
        if examples == 1:
            raise IndexError("too few dimensions")
        return model(torch.zeros(examples, 3))

    assert dense_cost(mask_layers(nn.Linear(3, 4)), run).macs == 12


def test_a_model_that_cannot_be_run_at_all_says_why() -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        cost_of(mask_layers(nn.Linear(3, 4)), torch.zeros(1, 5))


def test_weights_that_share_memory_are_told_apart() -> None:
    """As a GPU's recurrent layers lay them out."""
    model = nn.LSTM(5, 6)
    flat = torch.zeros(sum(weight.numel() for weight in model.parameters()))
    begin = 0
    for weight in model.parameters():
        weight.data = flat[begin : begin + weight.numel()].view_as(weight)
        begin += weight.numel()
    cost = cost_of(mask_layers(model), torch.zeros(2, 1, 5))
    assert cost.macs_by_layer == {"weight_ih_l0": 2 * 24 * 5, "weight_hh_l0": 2 * 24 * 6}


@pytest.mark.parametrize(
    ("layer", "example", "macs"),
    [
        (nn.Conv2d(6, 4, 3, groups=2), torch.zeros(1, 6, 8, 8), 36 * 4 * 3 * 9),
        (nn.Conv1d(6, 6, 3, groups=6, padding=1), torch.zeros(1, 6, 8), 8 * 6 * 3),
        (nn.ConvTranspose1d(6, 4, 3), torch.zeros(1, 6, 8), 8 * 6 * 4 * 3),
        (nn.ConvTranspose2d(6, 4, 3, stride=2), torch.zeros(1, 6, 8, 8), 64 * 6 * 4 * 9),
        (nn.ConvTranspose2d(6, 4, 3, groups=2), torch.zeros(1, 6, 8, 8), 64 * 6 * 2 * 9),
        (nn.Bilinear(3, 4, 5), (torch.zeros(2, 3), torch.zeros(2, 4)), 2 * 3 * 4 * 5),
        (nn.Embedding(9, 4), torch.zeros(1, 7, dtype=torch.long), 0),
        (nn.Embedding(9, 4, max_norm=1.0), torch.zeros(1, 7, dtype=torch.long), 0),
        (nn.EmbeddingBag(9, 4), torch.zeros(1, 7, dtype=torch.long), 0),
        (nn.Linear(3, 4), torch.zeros(3), 12),
        (nn.Linear(3, 4, dtype=torch.complex64), torch.zeros(2, 3, dtype=torch.complex64), 24),
        (nn.LSTMCell(3, 4), torch.zeros(2, 3), 2 * (3 * 16 + 4 * 16)),
    ],
)
def test_a_layer_costs_what_its_formula_says(
    layer: nn.Module, example: Tensor | tuple[Tensor, ...], macs: int
) -> None:
    inputs = example if isinstance(example, tuple) else (example,)
    cost = cost_of(mask_layers(layer), *inputs)
    assert cost.macs == macs
    assert cost.other_macs == 0
    assert cost.uncounted == ()


def test_a_transposed_convolution_costs_a_product_for_each_weight_and_place() -> None:
    """Brute force: with inputs and weights of one and no overlap, the outputs count them."""
    layer = nn.ConvTranspose2d(6, 4, 3, stride=3, groups=2, bias=False)
    nn.init.ones_(layer.weight)
    cost = cost_of(mask_layers(layer), torch.ones(1, 6, 5, 5))
    assert cost.macs == int(layer(torch.ones(1, 6, 5, 5)).sum())


class Own(nn.Module):
    """A layer that computes with its weight in its own way."""

    def __init__(self, forward: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 3))
        self.own_forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.own_forward(x, self.weight)


@pytest.mark.parametrize(
    ("forward", "macs", "other"),
    [
        (lambda x, w: x @ w.t().contiguous(), 24, 0),
        (lambda x, w: torch.einsum("ni,oi->no", x, w), 24, 0),
        (lambda x, w: (x[:, None] * w).sum(-1), 24, 0),
        (lambda x, w: torch.stack([w @ each for each in x]), 24, 0),
        (lambda x, w: x @ (w / w.norm()).t(), 24, 0),
        (lambda x, w: x @ w.to(torch.float64).float().t(), 24, 0),
        (lambda x, w: x @ w.t() + w.sum(), 24, 0),
        # Subtracting the mean fills the zeros, so nothing is spared.
        (lambda x, w: x @ (w - w.mean()).t(), 0, 24),
        (lambda x, w: x @ torch.cat([w, w]).t(), 0, 48),
    ],
)
def test_an_own_way_to_use_a_weight_is_credited_where_its_zeros_are_spared(
    forward: Callable[[Tensor, Tensor], Tensor], macs: int, other: int
) -> None:
    cost = cost_of(mask_layers(Own(forward)), torch.rand(2, 3))
    assert cost.macs_by_layer == {"weight": macs}
    assert cost.other_macs == other
    assert cost.uncounted == ()


def test_what_cannot_be_counted_is_named_and_the_sum_is_not_a_number() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Own(lambda x, w: torch.cdist(x, w)))
    masked = mask_layers(model)
    dense = cost_of(masked, torch.rand(2, 3))
    assert dense.uncounted == ("_cdist_forward on 1",)
    assert dense.macs_by_layer["0"] == 2 * 9
    assert math.isnan(dense.macs_by_layer["1"])
    cost = masked_cost(masked, dense)
    assert math.isnan(cost.macs)
    assert math.isnan(cost.dense_macs)
    assert math.isnan(cost.theoretical_speedup)
    assert cost.compression_ratio == 1


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "norm",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
    ],
)
def test_the_product_with_a_normed_weight_is_credited_to_its_layer(
    norm: Callable[[nn.Module], nn.Module],
) -> None:
    model = nn.Sequential(norm(nn.Linear(3, 4)), norm(nn.Conv1d(1, 2, 3)))
    cost = cost_of(mask_layers(model), torch.rand(1, 1, 3))
    assert cost.macs_by_layer == {"0": 12, "1": 2 * 2 * 3}
    assert cost.other_macs == 0


class Routed(nn.Module):
    """Experts in one tensor, of which each example asks one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.weight = nn.Parameter(torch.randn(4, 8, 6))

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.gate(x).argmax(-1)
        return (x[:, None] @ self.weight[chosen])[:, 0]


def test_routed_experts_are_credited_with_what_was_asked_of_them() -> None:
    cost = cost_of(mask_layers(Routed()), torch.randn(3, 8))
    assert cost.macs_by_layer == {"weight": 3 * 8 * 6, "gate": 3 * 8 * 4}
    assert cost.other_macs == 0


def test_a_tables_rows_are_values_whatever_is_done_with_them() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Softplus(), nn.Linear(4, 3))
    cost = cost_of(mask_layers(model), torch.zeros(1, 7, dtype=torch.long))
    assert cost.macs_by_layer == {"0": 0, "2": 7 * 4 * 3}
    assert cost.uncounted == ()


def test_a_graphs_edges_are_what_a_sparse_product_costs() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("edges", torch.eye(5).to_sparse())

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = torch.sparse.mm(self.edges, self.layer(x))
            return out

    cost = cost_of(mask_layers(Graph()), torch.rand(5, 3))
    assert cost.macs_by_layer == {"layer": 5 * 6}
    assert cost.other_macs == 5 * 2


def test_counting_leaves_the_modes_of_a_model_and_of_torch_alone() -> None:
    model = Convolutions()
    model.train()
    model.norm.eval()
    before = (torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled())
    cost_of(mask_layers(model), torch.zeros(1, 3, 16, 16))
    assert model.training
    assert model.conv1.training
    assert not model.norm.training
    assert (torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()) == before


def test_dead_outputs_are_rows_with_nothing_left() -> None:
    mask = torch.ones(3, 2, 2, dtype=torch.bool)
    mask[1] = False
    mask[2, 0] = False
    assert dead_outputs(mask) == 1
