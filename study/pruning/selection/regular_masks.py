"""Masks of a regular form, which hardware can make use of: n of m, and blocks.

Weights are given as outputs, inputs, and of a convolution the kernel, whose places are each on
their own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.pruning.selection.ranking import keep_best


def n_of_m(scores: Tensor, alive: Tensor, n: int = 2, m: int = 4) -> Tensor:
    """Keep the ``n`` best of each ``m`` consecutive inputs.

    Where there is no multiple of ``m`` inputs, the last are a group of their own that is smaller,
    and of it the ``n`` best stay too: all, if it has no more. (So it is in NVIDIA's ASP, which
    fills such groups up with zeros. Sparse tensor cores want multiples.)

    Parameters
    ----------
    scores
        At least two dimensions, floating point, finite where alive.
    alive
        Bool, of the same shape. What is not alive is never kept; where fewer than ``n`` of a group
        are, these stay.
    n, m
        As 2 and 4 of 2:4.

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
    along = scores.movedim(1, -1)
    length = along.shape[-1]
    fill = -length % m
    ranked = along.masked_fill(~alive.movedim(1, -1), -torch.inf)
    groups = functional.pad(ranked, (0, fill), value=-torch.inf).unflatten(-1, (-1, m))
    best = groups.argsort(dim=-1, descending=True, stable=True)[..., :n]
    keep = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True)
    kept = keep.flatten(-2)[..., :length].movedim(-1, 1)
    return kept & alive


def toward_n_of_m(scores: Tensor, alive: Tensor, count: int, n: int = 2, m: int = 4) -> Tensor:
    """Keep so many weights on the way to ``n`` of ``m``: none goes that would stay at its end.

    Parameters
    ----------
    scores, alive, n, m
        As of :func:`n_of_m`.
    count
        How many to keep. Where the pattern itself keeps more it is the pattern, and where no more
        are alive all of these.

    Returns
    -------
    Tensor
        Bool, of the same shape: what :func:`n_of_m` keeps, and of the others the best.
    """
    stay = n_of_m(scores, alive, n, m)
    kept = min(max(count, int(stay.sum())), int(alive.sum()))
    return keep_best(scores.masked_fill(stay, torch.inf), alive, kept)


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


def living_blocks(alive: Tensor, shape: tuple[int, int] = (4, 4)) -> Tensor:
    """Bool, of the shape of :func:`block_scores`: blocks in which anything is alive."""
    return _tiles(alive, shape).any(dim=3).any(dim=1)


def spread_blocks(kept: Tensor, alive: Tensor, shape: tuple[int, int] = (4, 4)) -> Tensor:
    """Bool, of a weight's shape: what is alive in the blocks that are kept."""
    whole = kept.repeat_interleave(shape[0], dim=0).repeat_interleave(shape[1], dim=1)
    return whole[: alive.shape[0], : alive.shape[1]] & alive


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
