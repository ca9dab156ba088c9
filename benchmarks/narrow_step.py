"""What a round costs when channels are gone: a step of it against the small network built by hand.

One thread, batches of 128, a fifth of the channels of each layer left. "By hand" is a VGG that is
built with these widths in the first place; "dense" is the network that the channels were taken of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning.compact.narrow import narrow_copy
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.cutting import masks_of, with_companions
from study.pruning.structure.finding import separable_channels
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe

WIDTHS, LEFT = (40, 40, 80, 80, 160, 160), 5
RECIPE = Recipe(optimizer="sgd", lr=0.01, epochs=1)


def measure(quick: bool = False) -> list[Figure]:
    """Ratios to the network that was built small."""
    inputs, targets = torch.randn(128, 1, 28, 28), torch.randint(10, (128,))
    dense = vgg(WIDTHS)
    structures, _ = separable_channels(dense, lambda model: model(inputs[:2]))
    masked = with_companions(mask_layers(dense), structures)
    optimizer = build_optimizer(RECIPE, dense)
    alive = {s.name: torch.arange(s.units) % LEFT == 0 for s in structures}
    masked.cut(masks_of(masked, structures, alive), optimizer=optimizer)
    narrow = narrow_copy(masked, optimizer, RECIPE, structures)
    assert narrow is not None
    by_hand = vgg([width // LEFT for width in WIDTHS])
    times = interleaved_ms(
        {
            "by hand": step(by_hand, build_optimizer(RECIPE, by_hand), inputs, targets),
            "narrow": step(narrow.model, narrow.optimizer, inputs, targets),
            "masked": step(dense, optimizer, inputs, targets),
        },
        repeats=5 if quick else 21,
        inner=2,
    )
    base = times["by hand"]
    return [
        Figure.of(
            "a fifth of the channels, retrained", "x by hand", ratios(times["narrow"], base),
            "<= 1.05",
        ),
        Figure.of("the masked network instead", "x by hand", ratios(times["masked"], base)),
    ]  # fmt: skip


def vgg(widths: Sequence[int]) -> nn.Module:
    """Six convolutions in three stages, and a dense layer."""
    layers: list[nn.Module] = []
    channels = 1
    for place, width in enumerate(widths):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU())
        if place % 2:
            layers.append(nn.MaxPool2d(2))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor
) -> Callable[[], None]:
    """One step of training."""
    model.train()

    def call() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return call
