"""Other inputs of the form of an example, on which what is taken for a constant may vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from study.tasks.data.structures import leaves, map_leaves

DRAWS = 2
ZEROS = 0.3
"""Share of noise that is zero: a mask of ones must not look like a constant."""


def variations(example: Any) -> list[Any]:
    """Inputs like an example, but for their values, or their length in one dimension.

    Values are noise of the example's mean and deviation with zeros in it, integers from 0 to the
    example's largest, and random truth values. Lengths are half and twice the example's, in each
    dimension after the first, of all parts that have that dimension as long as the first part.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [map_leaves(lambda leaf: _noise(leaf, generator), example) for _ in range(DRAWS)]
    first = next((leaf for leaf in leaves(example) if isinstance(leaf, Tensor)), None)
    if first is None:
        return drawn
    for dimension in range(1, first.dim()):
        length = first.shape[dimension]
        if length > 1:
            ways = (_along(change, dimension, length) for change in (_half, _twice))
            drawn += [map_leaves(way, example) for way in ways]
    return drawn


def _noise(leaf: Any, generator: torch.Generator) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    if leaf.dtype == torch.bool:
        found = torch.rand(leaf.shape, generator=generator) < 0.5
    elif leaf.is_floating_point():
        spread = leaf.std() if leaf.numel() > 1 else leaf.new_tensor(0.0)
        noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float32)
        values = noise * float(torch.nan_to_num(spread)) + float(leaf.mean())
        found = values * (torch.rand(leaf.shape, generator=generator) >= ZEROS)
    elif leaf.is_complex():
        return leaf
    else:
        found = torch.randint(0, max(int(leaf.max()), 0) + 1, leaf.shape, generator=generator)
    return found.to(leaf.device, leaf.dtype)


def _along(
    change: Callable[[Tensor, int], Tensor], dimension: int, length: int
) -> Callable[[Any], Any]:
    def changed(leaf: Any) -> Any:
        fits = isinstance(leaf, Tensor) and leaf.dim() > dimension
        return change(leaf, dimension) if fits and leaf.shape[dimension] == length else leaf

    return changed


def _half(leaf: Tensor, dimension: int) -> Tensor:
    return leaf.narrow(dimension, 0, max(leaf.shape[dimension] // 2, 1))


def _twice(leaf: Tensor, dimension: int) -> Tensor:
    parts: Sequence[Tensor] = (leaf, leaf)
    return torch.cat(list(parts), dim=dimension)
