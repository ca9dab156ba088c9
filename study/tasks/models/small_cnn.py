"""A small convolutional network with batch norm, for small images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from study.tasks.models.shapes import image_shape


def small_cnn(input_shape: tuple[int, ...], classes: int, width: int = 16) -> nn.Sequential:
    """Three 3 x 3 convolutions of ``width``, ``2 * width`` and ``4 * width`` filters."""
    channels, _, _ = image_shape("small_cnn", input_shape, least=4)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, filters in enumerate((width, 2 * width, 4 * width), start=1):
        layers[f"conv{number}"] = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(filters)
        layers[f"relu{number}"] = nn.ReLU()
        if number < 3:
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        channels = filters
    layers["pool3"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
