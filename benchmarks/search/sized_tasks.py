"""Networks whose multiply-adds are to be few, on 5,000 images of Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from benchmarks.search.tasks import FASHION_EXAMPLES, RECIPE
from study.tasks import Task, load_task, make_task
from study.tasks.models.resnet import ResNet
from study.tasks.models.small_cnn import small_cnn

CLASSES = 10

LONGER = {"epochs": 8, "lr": 5e-3, "lr_schedule": "cosine"}
"""In five epochs at a constant rate these networks are far from trained (the small CNN comes to
78 % and not 84): there whatever trains for longer wins, and single networks swing by five
points."""

OF_WEIGHTS: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform"},
    "global": {"allocation": "global", "cost_exponent": 0.0},
    "erk": {"allocation": "erk"},
    "lamp": {"allocation": "lamp", "cost_exponent": 0.0},
    "lamp_by_cost": {"allocation": "lamp", "cost": "macs", "cost_exponent": 0.5},
    "lamp_by_cost_longer": {
        "allocation": "lamp",
        "cost": "macs",
        "cost_exponent": 0.5,
        "retrain_epochs": 5.0,
    },
}
"""What one would choose from for single weights: fields of the plan in which the methods differ.
The last is what whoever knows what the search finds out would run."""

OF_CHANNELS: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform", "saliency": "l2"},
    "taylor_per_mac": {
        "allocation": "global_raw", "saliency": "taylor", "cost": "macs", "cost_exponent": 1.0
    },
    "isomorphic": {"allocation": "isomorphic", "saliency": "l2"},
    "global": {"allocation": "global_raw", "saliency": "l2"},
}  # fmt: skip
"""The same for whole channels."""


@dataclass(frozen=True)
class SizedSetting:
    """A task, the sizes at which methods are compared, and the methods.

    Parameters
    ----------
    task
        The network and its data.
    title
        For the table.
    structure
        What is taken out.
    levels
        Shares of the dense multiply-adds.
    floor
        Where descents end, at or below the last level.
    rivals
        Fields of their plans, by name.
    space
        Further fields of the search's space.
    """

    task: Callable[[], Task]
    title: str
    structure: str
    levels: tuple[float, ...]
    floor: float
    rivals: Mapping[str, Mapping[str, Any]]
    space: Mapping[str, Any] = field(default_factory=dict)


def plain(*widths: int) -> nn.Module:
    """3 x 3 convolutions with batch norm; the image is halved before all but the first."""
    layers: list[nn.Module] = []
    channels = 1
    for number, width in enumerate(widths):
        layers += [nn.MaxPool2d(2)] if number else []
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU())
        channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)
    )


def cnn() -> nn.Module:
    """16, 32 and 64 filters."""
    return small_cnn((1, 28, 28), CLASSES)


def resnet8() -> nn.Module:
    """Three stages of one block."""
    return ResNet(1, CLASSES, blocks=1)


def wide_late() -> nn.Module:
    """Too wide at its end."""
    return plain(16, 32, 256)


def wide_early() -> nn.Module:
    """Too wide at its beginning."""
    return plain(64, 32, 64)


def _task(model: Callable[[], nn.Module]) -> Task:
    """A network with its data: 6,000 images validate."""
    data = load_task(dataset="fashion_mnist", model="small_cnn").data
    test, few = data.load_test(), FASHION_EXAMPLES
    return make_task(
        model,
        (data.train.inputs[:few], data.train.targets[:few]),
        (data.validation.inputs, data.validation.targets),
        (test.inputs, test.targets),
        name=f"fashion_mnist-{few}",
        channels_last=True,
        **{**RECIPE, **LONGER},
    )


def _weights(model: Callable[[], nn.Module], title: str) -> SizedSetting:
    return SizedSetting(
        partial(_task, model),
        f"{title}, single weights",
        "weights",
        (0.2, 0.1, 0.05),
        0.044,
        OF_WEIGHTS,
        {"allocation": ["lamp", "global"]},
    )


def _channels(model: Callable[[], nn.Module], title: str) -> SizedSetting:
    return SizedSetting(
        partial(_task, model), f"{title}, channels", "channels", (0.4, 0.2, 0.1), 0.1, OF_CHANNELS
    )


SIZED = {
    "cnn-macs": _weights(cnn, "small CNN 16-32-64"),
    "resnet8-macs": _weights(resnet8, "ResNet-8"),
    "resnet8-channels": _channels(resnet8, "ResNet-8"),
    "late-channels": _channels(wide_late, "CNN 16-32-256"),
    "early-channels": _channels(wide_early, "CNN 64-32-64"),
}
"""By the name that ``--task`` takes."""


# For studies, whose workers make a task by its name.
cnn_macs = SIZED["cnn-macs"].task
resnet8_macs = SIZED["resnet8-macs"].task
resnet8_channels = SIZED["resnet8-channels"].task
late_channels = SIZED["late-channels"].task
early_channels = SIZED["early-channels"].task
