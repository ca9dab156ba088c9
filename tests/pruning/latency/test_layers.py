import torch
from torch import Tensor, nn
from torch.nn import functional

from study.pruning.latency.layers import layer_calls
from study.tasks.forward import call


class Branching(nn.Module):
    """A norm whose output two layers take, one layer that runs twice, one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.again = nn.Conv2d(4, 4, 1)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        out: Tensor = self.relu(x) + self.again(self.again(x))
        return out


def names(model: nn.Module, inputs: object, *, fused: bool) -> list[tuple[str, ...]]:
    return [each.names for each in layer_calls(model.eval(), inputs, call, fused=fused)]


def test_the_innermost_modules_that_run_are_noted_in_order() -> None:
    assert names(Branching(), torch.zeros(1, 2, 6, 6), fused=False) == [
        ("conv",), ("norm",), ("relu",), ("again",), ("again",),
    ]  # fmt: skip


def test_a_network_may_be_a_single_layer() -> None:
    assert names(nn.Linear(3, 2), torch.zeros(1, 3), fused=True) == [("",)]


def test_what_follows_a_convolution_alone_belongs_to_it() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2),
    )  # fmt: skip
    assert names(model, torch.zeros(1, 1, 6, 6), fused=True) == [
        ("0", "1", "2"), ("3",), ("4",), ("5",), ("6", "7"), ("8",),
    ]  # fmt: skip


def test_what_another_layer_takes_too_ends_the_chain() -> None:
    assert names(Branching(), torch.zeros(1, 2, 6, 6), fused=True) == [
        ("conv", "norm"), ("relu",), ("again",), ("again",),
    ]  # fmt: skip


def test_a_module_whose_children_are_only_read_is_a_layer() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    (one,) = layer_calls(
        attention.eval(), {k: torch.zeros(1, 3, 8) for k in ("query", "key", "value")}, call,
        fused=False,
    )  # fmt: skip
    assert one.modules == (attention,)
    assert sorted(one.kwargs) == ["key", "query", "value"]


def test_hooks_are_gone_afterwards() -> None:
    model = Branching()
    layer_calls(model.eval(), torch.zeros(1, 2, 6, 6), call, fused=True)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def size(model: nn.Module, *shape: int, dtype: torch.dtype = torch.float32) -> str:
    inputs = torch.zeros(*shape, dtype=dtype)
    (one,) = layer_calls(model.to(dtype).eval(), inputs, call, fused=False)
    return one.size


def test_sizes_tell_apart_what_takes_different_times() -> None:
    sizes = [
        size(nn.Conv2d(4, 8, 3), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3), 2, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3), 1, 4, 8, 9),
        size(nn.Conv2d(4, 8, 3), 1, 4, 8, 8, dtype=torch.float64),
        size(nn.Conv2d(4, 8, 3, stride=2), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3, padding=1), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3, dilation=2), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3, groups=2), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3, bias=False), 1, 4, 8, 8),
        size(nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), 1, 4, 8, 8),
        size(nn.ConvTranspose2d(4, 8, 3), 1, 4, 8, 8),
        size(nn.MaxPool2d(2), 1, 4, 8, 8),
        size(nn.MaxPool2d(4), 1, 4, 8, 8),
        size(nn.LayerNorm(8), 1, 4, 8, 8),
    ]
    assert len(set(sizes)) == len(sizes)


def test_sizes_do_not_depend_on_weights_or_on_how_a_module_is_used_elsewhere() -> None:
    one, other = nn.ReLU(), nn.ReLU(inplace=True)
    assert size(one, 1, 3) == size(other, 1, 3)
    assert size(nn.Linear(3, 2), 1, 3) == size(nn.Linear(3, 2).train(), 1, 3)


def test_the_layout_in_memory_is_part_of_the_size() -> None:
    model, inputs = nn.Conv2d(4, 8, 3).eval(), torch.zeros(1, 4, 8, 8)
    (usual,) = layer_calls(model, inputs, call, fused=False)
    (last,) = layer_calls(model, inputs.to(memory_format=torch.channels_last), call, fused=False)
    assert usual.size != last.size


class Own(nn.Module):
    """A layer of a user's own, told by its attributes."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=self.factor)


def test_layers_of_ones_own_are_told_apart_by_their_attributes() -> None:
    assert size(Own(2), 1, 1, 4, 4) != size(Own(3), 1, 1, 4, 4)
    assert "test_layers.Own(factor=2)" in size(Own(2), 1, 1, 4, 4)
