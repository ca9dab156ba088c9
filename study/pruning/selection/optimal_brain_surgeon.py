"""What a weight is worth if those that stay may make up for it, and how they do.

Of a layer ``W x`` the squared change of its outputs over the examples is ``dW H dW^T`` with
``H = sum of x x^T``. Taking away weight ``j`` of a row costs ``w_j ** 2 / [H^-1]_jj`` if the others
move by ``- w_j [H^-1]_j / [H^-1]_jj`` (Hassibi & Stork 1993, equation 5).
"""

from __future__ import annotations

import torch
from torch import Tensor

from study.pruning.selection.input_products import by_group

DAMPING = 0.01
"""Share of H's mean diagonal that is added to it, so that it has an inverse; as in SparseGPT."""

BLOCK = 128
"""Columns whose changes are passed on together to those behind: a matter of speed alone."""


def obs_scores(weight: Tensor, products: Tensor) -> Tensor:
    """``w ** 2 / [H^-1]_jj`` of every weight, float64.

    All weights count as being there: of a weight that is pruned already the score is 0, but what
    others are worth is not renewed for each output's own mask.

    Parameters
    ----------
    weight
        Of a Linear or Conv2d.
    products
        Sum of ``x x^T``, shape (groups, inputs, inputs).
    """
    worth = _inverse(products).diagonal(dim1=-2, dim2=-1)
    scores = by_group(weight.double(), products).square() / worth[:, None, :]
    return scores.reshape(weight.shape)


def obs_weights(weight: Tensor, mask: Tensor, products: Tensor) -> Tensor:
    """Weights under a mask, those kept changed so that the layer's outputs change little.

    Columns (inputs) are gone through from first to last; where a row's weight goes, those of its
    row in later columns make up for it, and what lies before stays as it is.

    Parameters
    ----------
    weight, products
        As of :func:`obs_scores`.
    mask
        Bool, of the weight's shape; True stays.

    Returns
    -------
    Tensor
        Of the weight's shape and dtype, zero where the mask is False.

    References
    ----------
    Frantar & Alistarh 2023, "SparseGPT", algorithm 1, for a mask that is given.
    """
    values = by_group(weight.double(), products).clone()
    keep = by_group(mask, products)
    # Row j of the upper factor is, over its diagonal, row j of the inverse for columns j and on.
    factor = torch.linalg.cholesky(_inverse(products), upper=True)
    columns = values.shape[-1]
    for start in range(0, columns, BLOCK):
        end = min(start + BLOCK, columns)
        errors = torch.zeros_like(values[..., start:end])
        for j in range(start, end):
            gone = values[..., j].masked_fill(keep[..., j], 0.0) / factor[:, j, j, None]
            values[..., j:end] -= gone[..., None] * factor[:, None, j, j:end]
            errors[..., j - start] = gone
        values[..., end:] -= errors @ factor[:, start:end, end:]
    return values.masked_fill(~keep, 0.0).reshape(weight.shape).to(weight.dtype)


def _inverse(products: Tensor) -> Tensor:
    """Inverse of the damped H; of a layer that saw only zeros, the identity's."""
    mean = products.diagonal(dim1=-2, dim2=-1).mean(dim=1)
    damping = torch.where(mean > 0, DAMPING * mean, 1.0)
    damped = products + torch.diag_embed(damping[:, None].expand(products.shape[:2]))
    inverse: Tensor = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return inverse
