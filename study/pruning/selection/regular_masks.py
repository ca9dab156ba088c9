"""Masks of a regular form, which hardware can make use of: n of m, and blocks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.pruning.selection.ranking import keep_best


def n_of_m(scores: Tensor, alive: Tensor, n: int = 2, m: int = 4, dim: int = 1) -> Tensor:
    """Keep the ``n`` best of each ``m`` consecutive weights.

    Where the dimension is no multiple of ``m``, the last of each run are a group of their own that
    is smaller, and of it the ``n`` best stay too: all, if it has no more. (So it is in NVIDIA's
    ASP, which fills such groups up with zeros. Sparse tensor cores want multiples.)

    Parameters
    ----------
    scores
        At least two dimensions, floating point, finite where alive.
    alive
        Bool, of the same shape. What is not alive is never kept; where fewer than ``n`` of a group
        are, these stay.
    n, m
        As 2 and 4 of 2:4.
    dim
        The dimension along which weights are consecutive: that of the inputs, 1, of a Linear and
        of a convolution (channels; each place of the kernel is on its own).

    Returns
    -------
    Tensor
        Bool, of the same shape. Of equal scores those with the lower index stay.

    Raises
    ------
    UsageError
        If not ``0 < n <= m``.

    References
    ----------
    Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".
    """
    if not 0 < n <= m:
        raise UsageError(f"n:m is {n}:{m}; n must be at least 1 and at most m")
    along = scores.movedim(dim, -1)
    length = along.shape[-1]
    fill = -length % m
    ranked = along.masked_fill(~alive.movedim(dim, -1), -torch.inf)
    groups = functional.pad(ranked, (0, fill), value=-torch.inf).unflatten(-1, (-1, m))
    best = groups.argsort(dim=-1, descending=True, stable=True)[..., :n]
    keep = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True)
    kept = keep.flatten(-2)[..., :length].movedim(-1, dim)
    return kept & alive


def block_scores(scores: Tensor, alive: Tensor, shape: tuple[int, int] = (4, 4)) -> Tensor:
    """Sum of the scores of what is alive in each block of a weight's first two dimensions.

    Parameters
    ----------
    scores
        At least two dimensions: outputs, inputs, and of a convolution the kernel.
    alive
        Bool, of the same shape. What is not alive counts nothing.
    shape
        Outputs and inputs of a block. At the ends of a weight that is no multiple of it blocks are
        smaller.

    Returns
    -------
    Tensor
        Shape (blocks of outputs, blocks of inputs, ...), the last as of the scores, float64. Each
        place of a kernel has blocks of its own.

    Raises
    ------
    UsageError
        If a side of the block is below 1, or the weight has no two dimensions.
    """
    values = torch.where(alive, scores.double(), 0.0)
    return _tiles(values, shape).sum(dim=(1, 3))


def keep_blocks(
    scores: Tensor, alive: Tensor, count: int, shape: tuple[int, int] = (4, 4)
) -> Tensor:
    """Keep what is alive in the ``count`` blocks of the highest summed scores.

    Parameters
    ----------
    scores, alive, shape
        As of :func:`block_scores`.
    count
        How many blocks to keep, at most those in which something is alive.

    Returns
    -------
    Tensor
        Bool, of the scores' shape. Of equal blocks those with the lower index stay.

    Raises
    ------
    UsageError
        As :func:`block_scores` does.
    ValueError
        If something is alive in fewer than ``count`` blocks.
    """
    living = _tiles(alive, shape).any(dim=3).any(dim=1)
    kept = keep_best(block_scores(scores, alive, shape), living, count)
    whole = kept.repeat_interleave(shape[0], dim=0).repeat_interleave(shape[1], dim=1)
    return whole[: alive.shape[0], : alive.shape[1]] & alive


def block_count(weight: tuple[int, ...], shape: tuple[int, int] = (4, 4)) -> int:
    """Blocks of a weight of this shape, smaller ones at its ends included."""
    rows, columns = (-(-size // side) for size, side in zip(weight[:2], shape, strict=True))
    return rows * columns * prod(weight[2:])


def _tiles(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Shape (blocks of outputs, outputs of one, blocks of inputs, inputs of one, ...)."""
    if min(shape) < 1 or values.dim() < 2:
        raise UsageError(
            f"blocks of {shape[0]} x {shape[1]} of a weight with {values.dim()} dimensions; "
            "sides must be at least 1, dimensions at least 2"
        )
    fill = [-size % side for size, side in zip(values.shape[:2], shape, strict=True)]
    kernel = [0, 0] * (values.dim() - 2)
    padded = functional.pad(values, (*kernel, 0, fill[1], 0, fill[0]))
    tiles: Tensor = padded.unflatten(1, (-1, shape[1])).unflatten(0, (-1, shape[0]))
    return tiles
