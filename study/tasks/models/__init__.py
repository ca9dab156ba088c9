"""Networks to prune. A builder takes the shape of one example, the classes, and options."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from study.tasks.models.lenet import lenet5, lenet300
from study.tasks.models.mlp import mlp
from study.tasks.models.resnet import resnet20, resnet32, resnet56
from study.tasks.models.small_cnn import small_cnn
from study.tasks.models.vgg import vgg16

MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "lenet300": lenet300,
    "lenet5": lenet5,
    "small_cnn": small_cnn,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet56": resnet56,
    "vgg16": vgg16,
}
