"""The networks that are made narrower, all on Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

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


class _Attention(nn.Module):
    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._heads(layer(x)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        out = functional.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return mixed

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), _Attention(width, head_dim)
        self.norm2 = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """Patches of 4 x 4, four blocks of 64 channels and eight heads (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int = 64, head_dim: int = 8, depth: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(SHAPE[0], width, 4, stride=4)
        self.positions = nn.Parameter(torch.randn(1, 49, width) * 0.02)
        self.blocks = nn.Sequential(*(_Block(width, head_dim) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        out: Tensor = self.head(self.norm(self.blocks(x)).mean(1))
        return out


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": partial(lenet5, SHAPE, CLASSES),
    "vgg_small": vgg_small,
    "resnet20": partial(resnet20, SHAPE, CLASSES),
    "vit": ViT,
}
STRUCTURES = {"vit": "units"}
"""What is taken out, where it is more than channels: a ViT's heads too."""

WIDTH_MULTIPLES = {"vgg_small": 16}
"""Of what the widths of an aligned method are multiples: ONNX Runtime convolves 16 channels at a
time where a register holds 16 floats (AVX-512). ResNet-20's narrowest stage has no more."""


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
