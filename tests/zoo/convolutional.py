"""Convolutional networks as they are known, some of them narrow."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.tasks.models.resnet import resnet20, resnet56
from study.tasks.models.vgg import vgg16
from tests.zoo.entry import CLASSES, Entry, images


class _Inverted(nn.Module):
    """Wide inside, depthwise, with a gate on each channel (Sandler et al. 2018; Howard 2019)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = 2 * inputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner), nn.Hardswish(),
        )  # fmt: skip
        self.squeeze = nn.Conv2d(inner, 4, 1)
        self.excite = nn.Conv2d(4, inner, 1)
        self.project = nn.Sequential(
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        gate = self.excite(self.squeeze(y.mean((2, 3), keepdim=True)).relu())
        y = self.project(y * functional.hardsigmoid(gate))
        return x + y if self.is_residual else y


def mobilenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        _Inverted(8, 8, 1), _Inverted(8, 12, 2), _Inverted(12, 12, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES),
    )  # fmt: skip


class _Dense(nn.Module):
    """A layer that reads all before it and adds a few channels (Huang et al. 2017)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 8, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(y).relu())], 1)


def densenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), _Dense(8, 4), _Dense(12, 4),
        nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False), nn.AvgPool2d(2),
        _Dense(8, 4), _Dense(12, 4), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Down, up, and across (Ronneberger et al. 2015): a class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _double(3, 4), _double(4, 6), _double(6, 8)
        self.up2, self.join2 = nn.ConvTranspose2d(8, 6, 2, stride=2), _double(12, 6)
        self.up1, self.join1 = nn.ConvTranspose2d(6, 4, 2, stride=2), _double(8, 4)
        self.head = nn.Conv2d(4, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down1(x)
        middle = self.down2(functional.max_pool2d(fine, 2))
        coarse = self.bottom(functional.max_pool2d(middle, 2))
        middle = self.join2(torch.cat([middle, self.up2(coarse)], 1))
        out: Tensor = self.head(self.join1(torch.cat([fine, self.up1(middle)], 1)))
        return out


class _NormOverChannels(nn.LayerNorm):
    """A layer norm of images, over the channels of each place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _ConvNeXt(nn.Module):
    """Depthwise, norm, two dense layers, and a scale of each channel (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 2, stride=2), _NormOverChannels(6), _ConvNeXt(6), _NormOverChannels(6),
        nn.Conv2d(6, 8, 2, stride=2), _ConvNeXt(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.LayerNorm(8), nn.Linear(8, CLASSES),
    )  # fmt: skip


CONVOLUTIONAL = (
    Entry("ResNet-20", lambda: resnet20((3, 8, 8), CLASSES), images()),
    Entry("ResNet-56", lambda: resnet56((3, 8, 8), CLASSES), images()),
    Entry("VGG-16", lambda: vgg16((3, 32, 32), CLASSES), images(size=32)),
    Entry("MobileNet-like", mobilenet, images()),
    Entry("DenseNet-like", densenet, images()),
    Entry("U-Net", UNet, images(), lambda n: torch.randint(CLASSES, (n, 8, 8))),
    Entry("ConvNeXt-like", convnext, images()),
)
