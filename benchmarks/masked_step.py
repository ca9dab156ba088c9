"""What masks cost: a training step with them, without them, and with torch.nn.utils.prune.

One thread, models of the presets, batches of 128, density 0.1. The figure is the step's time over
the dense step's, over interleaved turns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning.masking.choosing import mask_layers
from study.tasks.models import MODELS

CASES = {
    "LeNet-300-100": ("lenet300", (1, 28, 28), 20),
    "small CNN": ("small_cnn", (1, 28, 28), 2),
    "ResNet-20": ("resnet20", (3, 32, 32), 1),
}
DENSITY = 0.1


def measure(quick: bool = False) -> list[Figure]:
    """Ratios to the dense step."""
    figures = []
    for name, (model_name, shape, inner) in CASES.items():
        torch.manual_seed(0)
        dense = MODELS[model_name](shape, 10)
        inputs, targets = torch.randn(128, *shape), torch.randint(10, (128,))
        times = interleaved_ms(
            {
                "dense": _step(copy.deepcopy(dense), inputs, targets),
                "masked": _step(_masked_by_us(copy.deepcopy(dense)), inputs, targets),
                "torch": _step(_masked_by_torch(copy.deepcopy(dense)), inputs, targets),
            },
            repeats=5 if quick else 21,
            inner=inner,
        )
        ours, theirs = (ratios(times[way], times["dense"]) for way in ("masked", "torch"))
        figures += [
            Figure.of(f"{name}, masked", "x dense step", ours, "<= 1.03"),
            Figure.of(f"{name}, torch.nn.utils.prune", "x dense step", theirs),
        ]
    return figures


def _step(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def call() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return call


def _masked_by_us(model: nn.Module) -> nn.Module:
    masked = mask_layers(model)
    masked.cut(
        {name: torch.rand(mask.shape) < DENSITY for name, mask in masked.masks.items()},
        optimizer=None,
    )
    return model


def _masked_by_torch(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            prune.custom_from_mask(module, "weight", torch.rand_like(module.weight) < DENSITY)
    return model
