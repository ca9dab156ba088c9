"""What masks cost: a training step with them, without them, and with torch.nn.utils.prune.

    python -m benchmarks.masked_step

One thread, models of the presets, batches of 128, density 0.1. The figure is the step's time over
the dense step's, median (and quartiles) over interleaved turns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from benchmarks.measuring import interleaved_ms, ratios
from study.pruning.masks import mask_layers
from study.tasks.models import MODELS

CASES = {
    "lenet300 (1 x 28 x 28)": ("lenet300", (1, 28, 28), 40),
    "small_cnn (1 x 28 x 28)": ("small_cnn", (1, 28, 28), 3),
    "resnet20 (3 x 32 x 32)": ("resnet20", (3, 32, 32), 1),
}
DENSITY = 0.1


def step(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    """One SGD step of a model."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def call() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return call


def masked_by_us(model: nn.Module) -> nn.Module:
    masked = mask_layers(model)
    masked.cut(
        {name: torch.rand(mask.shape) < DENSITY for name, mask in masked.masks.items()},
        optimizer=None,
    )
    return model


def masked_by_torch(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            prune.custom_from_mask(module, "weight", torch.rand_like(module.weight) < DENSITY)
    return model


def main() -> None:
    print(f"{'model':26}{'dense ms':>10}{'masked':>24}{'torch.nn.utils.prune':>26}")
    for name, (model_name, shape, inner) in CASES.items():
        torch.manual_seed(0)
        dense = MODELS[model_name](shape, 10)
        inputs, targets = torch.randn(128, *shape), torch.randint(10, (128,))
        times = interleaved_ms(
            {
                "dense": step(copy.deepcopy(dense), inputs, targets),
                "masked": step(masked_by_us(copy.deepcopy(dense)), inputs, targets),
                "torch": step(masked_by_torch(copy.deepcopy(dense)), inputs, targets),
            },
            repeats=15,
            inner=inner,
        )
        found = ratios(times, "dense")
        shown = [f"{m:.3f} ({low:.3f} to {high:.3f})" for m, low, high in found.values()]
        base = sorted(times["dense"])[len(times["dense"]) // 2]
        print(f"{name:26}{base:>10.3f}{shown[1]:>24}{shown[2]:>26}")


if __name__ == "__main__":
    main()
