"""What a weight is worth if those that stay may make up for it, and how they do.

Of a layer ``W x`` the squared change of its outputs over the examples is ``dW H dW^T`` with
``H = sum of x x^T``. Taking away weight ``j`` of a row costs ``w_j ** 2 / [H^-1]_jj`` if the others
move by ``- w_j [H^-1]_j / [H^-1]_jj`` (Hassibi & Stork 1993, equation 5).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from study.pruning.selection.input_products import by_group
from study.pruning.selection.ranking import apportion, keep_best

DAMPING = 0.01
"""Share of H's mean diagonal that is added to it, so that it has an inverse; as in SparseGPT."""

BLOCK = 128
"""Columns whose changes are passed on together to those behind, and whose weights are chosen
together; as in SparseGPT."""


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


def obs_mask(weight: Tensor, alive: Tensor, count: int, products: Tensor) -> Tensor:
    """The weights to keep of a layer, so that its outputs change little after the others' change.

    Of three choices the one after whose :func:`obs_weights` the squared change of the outputs is
    least: SparseGPT's own, made during the sweep; the highest :func:`obs_scores`; the highest
    sizes of weights times the norms of their inputs (Wanda). SparseGPT's is mostly best; where
    inputs are few and alike it may be far from it, for what it spares early has to go late.

    Parameters
    ----------
    weight, products
        As of :func:`obs_scores`.
    alive
        Bool, of the weight's shape. What is not alive is never kept.
    count
        How many to keep, at most the number alive.

    Returns
    -------
    Tensor
        Bool, of the weight's shape, with exactly ``count`` entries True.

    References
    ----------
    Frantar & Alistarh 2023, "SparseGPT", section 3.3, "Adaptive Mask Selection".
    """
    norms = products.diagonal(dim1=-2, dim2=-1).sqrt()
    by_norm = (by_group(weight.abs(), products) * norms[:, None, :]).reshape(weight.shape)
    masks = [
        _swept_mask(weight, alive, count, products),
        keep_best(obs_scores(weight, products), alive, count),
        keep_best(by_norm, alive, count),
    ]
    changes = []
    for mask in masks:
        change = by_group(obs_weights(weight, mask, products).double() - weight.double(), products)
        changes.append(float(((change @ products) * change).sum()))
    return masks[changes.index(min(changes))]


def _swept_mask(weight: Tensor, alive: Tensor, count: int, products: Tensor) -> Tensor:
    """SparseGPT's choice, while those of earlier columns are made up for.

    Each block of :data:`BLOCK` columns keeps its share of the count (where fewer are alive, others
    keep more). When the sweep of :func:`obs_weights` comes to a block, those of the lowest
    ``w ** 2 / [H^-1]_jj`` go, of the weights as they are by then and the inverse for what may still
    move: column j and those behind it.
    """
    living = by_group(alive, products)
    blocks = living.split(BLOCK, dim=-1)
    shares = [float(block.shape[-1]) for block in blocks]
    upper = [int(block.sum()) for block in blocks]
    counts = apportion(shares, [0] * len(upper), upper, count)
    chosen: list[Tensor] = []

    def choose(block: Tensor, worth: Tensor) -> Tensor:
        place = len(chosen)
        scores = block.square() / worth[:, None, :]
        chosen.append(keep_best(scores, blocks[place], counts[place]))
        return chosen[place]

    _swept(weight, products, choose)
    return torch.cat(chosen, dim=-1).reshape(weight.shape)


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
    parts = iter(by_group(mask, products).split(BLOCK, dim=-1))
    values = _swept(weight, products, lambda block, worth: next(parts))
    return values.reshape(weight.shape).to(weight.dtype).masked_fill(~mask, 0.0)


def _swept(weight: Tensor, products: Tensor, keep_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Weights by group after a sweep over the columns; what stays is asked for block by block.

    ``keep_of`` is given a block as it is by then, (groups, outputs, columns), and of each column
    j its ``[H^-1]_jj`` among j and those behind, (groups, columns).
    """
    values = by_group(weight.double(), products).clone()
    # Row j of the upper factor is, over its diagonal, row j of the inverse for columns j and on.
    factor = torch.linalg.cholesky(_inverse(products), upper=True)
    worth = factor.diagonal(dim1=-2, dim2=-1).square()
    columns = values.shape[-1]
    for start in range(0, columns, BLOCK):
        end = min(start + BLOCK, columns)
        keep = keep_of(values[..., start:end], worth[:, start:end])
        errors = torch.zeros_like(values[..., start:end])
        for j in range(start, end):
            gone = values[..., j].masked_fill(keep[..., j - start], 0.0) / factor[:, j, j, None]
            values[..., j:end] -= gone[..., None] * factor[:, None, j, j:end]
            errors[..., j - start] = gone
        values[..., end:] -= errors @ factor[:, start:end, end:]
    return values


def _inverse(products: Tensor) -> Tensor:
    """Inverse of the damped H; of a layer that saw only zeros, the identity's."""
    mean = products.diagonal(dim1=-2, dim2=-1).mean(dim=1)
    damping = torch.where(mean > 0, DAMPING * mean, 1.0)
    damped = products + torch.diag_embed(damping[:, None].expand(products.shape[:2]))
    inverse: Tensor = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return inverse
