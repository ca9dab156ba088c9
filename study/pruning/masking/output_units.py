"""Which weights of a layer belong to which of its output units."""

from __future__ import annotations

from torch import Tensor, nn

_TRANSPOSED = nn.modules.conv._ConvTransposeNd


def by_output_unit(values: Tensor, module: nn.Module) -> Tensor:
    """A layer's mask, or whatever has the shape of its weight, with a row for each output unit.

    Parameters
    ----------
    values
        Of the weight's shape.
    module
        The module that computes with the weight. Outputs are the first dimension, except in a
        transposed convolution, whose weight is (inputs, outputs / groups, ...).

    Returns
    -------
    Tensor
        Shape (output units, weights of one).
    """
    if not isinstance(module, _TRANSPOSED):
        return values.flatten(1)
    grouped = values.reshape(module.groups, -1, *values.shape[1:]).transpose(1, 2)
    return grouped.flatten(0, 1).flatten(1)
