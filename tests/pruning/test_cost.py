import pytest
import torch
from torch import Tensor, nn

from study.pruning.cost import dead_outputs, dense_cost, masked_cost
from study.pruning.masking.masks import mask_layers


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
    cost = dense_cost(masked, torch.zeros(1, 3, 16, 16))
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
    dense = dense_cost(masked, torch.zeros(1, 3, 16, 16))
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
    cost = dense_cost(masked, torch.zeros(1, 6, dtype=torch.long))
    assert cost.macs_by_layer["attention.in_proj_weight"] == 6 * 8 * 24
    assert cost.macs_by_layer["attention.out_proj"] == 6 * 8 * 8
    assert cost.macs_by_layer["embedding"] == 6 * 8 * 20
    assert cost.other_macs == 2 * (2 * 6 * 6 * 4)


def test_what_could_not_be_counted_is_named() -> None:
    lstm = mask_layers(nn.LSTM(4, 4))
    cost = dense_cost(lstm, torch.zeros(3, 1, 4))
    counted = cost.macs_by_layer["weight_ih_l0"] == 3 * 4 * 16
    assert counted or any("weight_ih_l0" in what for what in cost.uncounted)


def test_dead_outputs_are_rows_with_nothing_left() -> None:
    mask = torch.ones(3, 2, 2, dtype=torch.bool)
    mask[1] = False
    mask[2, 0] = False
    assert dead_outputs(mask) == 1
