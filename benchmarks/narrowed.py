"""Small convolutional networks of any widths, as they are when channels have been taken out."""

from __future__ import annotations

import random
from collections.abc import Sequence

from torch import Tensor, nn

DENSE = (32, 32, 64, 64, 128, 128)
"""Widths of both networks before anything is taken out."""


class _Block(nn.Module):
    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(out + self.shortcut(x))
        return out


def resnet8(widths: Sequence[int] = DENSE) -> nn.Sequential:
    """Three blocks: of each two stages, the stream's width and the width within its block."""
    first, inner1, second, inner2, third, inner3 = widths
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()),
        _Block(first, inner1, first, 1),
        _Block(first, inner2, second, 2),
        _Block(second, inner3, third, 2),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(third, 10)),
    )


def vgg6(widths: Sequence[int] = DENSE) -> nn.Sequential:
    """Six convolutions with a pool after each second one."""
    layers: list[nn.Module] = []
    inputs = 1
    for number, width in enumerate(widths):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)] if number % 2 else [nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def drawn_widths(number: int, step: int = 8, seed: int = 0) -> list[tuple[int, ...]]:
    """Widths that are multiples of a step, up to the dense ones."""
    draw = random.Random(seed)
    return [tuple(draw.randrange(step, w + 1, step) for w in DENSE) for _ in range(number)]
