"""VGG-16 for CIFAR, with batch norm and one dense layer, as pruning papers use it."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from study.tasks.models.shapes import image_shape

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Thirteen 3 x 3 convolutions in five stages, and a dense layer; 14.7 million parameters."""
    channels, _, _ = image_shape("vgg16", input_shape, least=32)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    number = 0
    for stage, (filters, convolutions) in enumerate(_STAGES, start=1):
        for _ in range(convolutions):
            number += 1
            layers[f"conv{number}"] = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
            layers[f"norm{number}"] = nn.BatchNorm2d(filters)
            layers[f"relu{number}"] = nn.ReLU()
            channels = filters
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
