"""Residual networks for CIFAR (He et al. 2016, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.tasks.models.shapes import image_shape


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new_channels = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        before = self.new_channels // 2
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return functional.relu(out + shortcut)


class ResNet(nn.Module):
    """``6 n + 2`` layers: a convolution, three stages of ``n`` blocks, a dense layer."""

    def __init__(self, channels: int, classes: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, stride=1)
        self.layer2 = self._stage(16, 32, blocks, stride=2)
        self.layer3 = self._stage(32, 64, blocks, stride=2)
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        out: Tensor = self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        return out

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        first = _Block(inputs, outputs, stride)
        return nn.Sequential(first, *(_Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def resnet20(input_shape: tuple[int, ...], classes: int) -> ResNet:
    """ResNet-20: 0.27 million parameters."""
    return ResNet(image_shape("resnet20", input_shape, least=8)[0], classes, 3)


def resnet32(input_shape: tuple[int, ...], classes: int) -> ResNet:
    """ResNet-32: 0.46 million parameters."""
    return ResNet(image_shape("resnet32", input_shape, least=8)[0], classes, 5)


def resnet56(input_shape: tuple[int, ...], classes: int) -> ResNet:
    """ResNet-56: 0.85 million parameters."""
    return ResNet(image_shape("resnet56", input_shape, least=8)[0], classes, 9)
