"""A small task that trains in a blink, with every kind of thing that a rewind must bring back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from study.tasks import Task, make_task
from study.tasks.data.splits import Split


class Tiny(nn.Module):
    """A convolution with batch norm, dropout, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(torch.relu(self.norm(self.conv(x))))
        out: Tensor = self.fc(x.flatten(1))
        return out


class Deep(Tiny):
    """With a convolution of several channels, whose layout in memory is one of two.

    It has no dropout, which draws in the order of memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Identity()  # type: ignore[assignment]
        self.conv = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1)
        )  # type: ignore[assignment]


def images(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with a bright row, column or diagonal: three classes."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(n) % 3
    inputs = torch.randn(n, 1, 6, 6, generator=generator) * 0.7
    for index, label in enumerate(targets.tolist()):
        place = index % 6
        if label == 0:
            inputs[index, 0, place, :] += 1.5
        elif label == 1:
            inputs[index, 0, :, place] += 1.5
        else:
            inputs[index, 0].diagonal().add_(1.5)
    return inputs, targets


def tiny_task(model: type[nn.Module] = Tiny, **recipe: object) -> Task:
    """The task; 50 training examples in batches of 16, so that the last is partial."""
    fields = {
        "epochs": 4,
        "batch_size": 16,
        "lr": 0.05,
        "augmentation": ("flip",),
        "weight_decay": 1e-3,
    } | recipe
    return make_task(model, images(50, 0), images(30, 1), images(30, 2), name="tiny", **fields)


def forbidden_test() -> Split:
    """A test split that must not be read."""
    raise AssertionError("the test split was read")
