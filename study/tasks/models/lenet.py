"""LeNet-300-100 and LeNet-5 (LeCun et al. 1998), as pruning papers use them."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from study.tasks.models.mlp import mlp
from study.tasks.models.shapes import image_shape


def lenet300(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Dense layers of 300 and 100 units; 266,610 parameters on MNIST."""
    return mlp(input_shape, classes, widths=(300, 100))


def lenet5(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Caffe's LeNet-5: 20 and 50 filters of 5 x 5, then 500 units; 431,080 parameters on MNIST."""
    image_shape("lenet5", input_shape, least=16)
    convolutions = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(input_shape[0], 20, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
        )
    )
    with torch.no_grad():
        features: Tensor = convolutions(torch.zeros(1, *input_shape))
    return nn.Sequential(
        OrderedDict(
            **dict(convolutions.named_children()),
            fc1=nn.Linear(features.shape[1], 500),
            relu3=nn.ReLU(),
            fc2=nn.Linear(500, classes),
        )
    )
