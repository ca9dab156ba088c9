import pytest
import torch
from torch import nn

from study.pruning.cost import dead_outputs
from study.pruning.masking.choosing import mask_layers


def reached_outputs(layer: nn.Module, inputs: torch.Tensor) -> int:
    """Brute force: the outputs that anything but the bias ever reaches."""
    out = layer(inputs)
    return int((out != 0).any(0).flatten(1).any(1).sum())


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.ConvTranspose1d(6, 4, 3, bias=False), torch.rand(2, 6, 5)),
        (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, bias=False), torch.rand(2, 6, 5, 5)),
        (nn.ConvTranspose3d(3, 9, 2, groups=3, bias=False), torch.rand(1, 3, 3, 3, 3)),
        (nn.Conv2d(6, 4, 3, groups=2, bias=False), torch.rand(2, 6, 5, 5)),
        (nn.Conv1d(6, 6, 1, groups=6, bias=False), torch.rand(2, 6, 5)),
    ],
)
def test_output_units_are_the_output_channels(layer: nn.Module, inputs: torch.Tensor) -> None:
    masked = mask_layers(layer)
    (mask,) = masked.masks.values()
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    nn.init.ones_(weight)
    kept = torch.zeros(mask.numel(), dtype=torch.bool)
    kept[[0, 1, -1]] = True
    masked.cut({"weight": kept.view_as(mask)}, optimizer=None)
    (rows,) = masked.masks_by_output.values()
    assert rows.shape[0] == layer.out_channels
    assert int(rows.sum()) == 3
    reached = reached_outputs(layer, inputs)
    assert 0 < reached < layer.out_channels
    assert dead_outputs(rows) == layer.out_channels - reached  # type: ignore[operator]
