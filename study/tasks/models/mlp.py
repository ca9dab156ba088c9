"""Multi-layer perceptrons of any widths."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from study.errors import UsageError


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    widths: Sequence[int] = (64, 32),
    dropout: float = 0.0,
) -> nn.Sequential:
    """Dense layers ``fc1``, ``fc2``, ... with ReLU between them; examples are flattened.

    Parameters
    ----------
    input_shape
        Shape of one example.
    classes
        Number of outputs.
    widths
        Units of the hidden layers.
    dropout
        Share of hidden units that training drops.
    """
    if any(width < 1 for width in widths) or not 0 <= dropout < 1:
        raise UsageError(
            f"task.model_options: widths {list(widths)} must be at least 1, and dropout {dropout} "
            "in [0, 1)."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    inputs = math.prod(input_shape)
    for number, width in enumerate(widths, start=1):
        layers[f"fc{number}"] = nn.Linear(inputs, width)
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
        inputs = width
    layers[f"fc{len(widths) + 1}"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)
