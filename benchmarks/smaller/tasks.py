"""The networks that are made narrower, all on Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from study.tasks import Task, load_task, make_task
from study.tasks.models.lenet import lenet5
from study.tasks.models.resnet import resnet20

EXAMPLES = 5_000
"""Of the 54,000 training images: with all of them a comparison would take days."""

DENSE_EPOCHS, RETRAIN_EPOCHS = 6, 2
RECIPE = {"epochs": DENSE_EPOCHS, "batch_size": 64, "optimizer": "adam", "lr": 2e-3,
          "lr_schedule": "cosine", "eval_batch_size": 500}  # fmt: skip
SHAPE, CLASSES = (1, 28, 28), 10


def vgg_small() -> nn.Module:
    """Six 3 x 3 convolutions in three stages, and a dense layer: VGG-16's form, a tenth as wide."""
    layers: list[nn.Module] = []
    channels = SHAPE[0]
    for stage in ((32, 32), (64, 64), (128, 128)):
        for width in stage:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False),
                       nn.BatchNorm2d(width), nn.ReLU()]  # fmt: skip
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": partial(lenet5, SHAPE, CLASSES),
    "vgg_small": vgg_small,
    "resnet20": partial(resnet20, SHAPE, CLASSES),
}


def task_of(name: str) -> Task:
    """A network's task: 5,000 images train, 6,000 validate, 10,000 test."""
    data = load_task(dataset="fashion_mnist", model="lenet5").data
    test = data.load_test()
    return make_task(
        MODELS[name],
        (data.train.inputs[:EXAMPLES], data.train.targets[:EXAMPLES]),
        (data.validation.inputs, data.validation.targets),
        (test.inputs, test.targets),
        name=name,
        channels_last=True,
        **RECIPE,
    )
