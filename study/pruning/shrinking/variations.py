"""Other inputs of the form of an example, on which what is taken for a constant may vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from study.pruning.structure.tracing import Run
from study.tasks.data.structures import leaves, map_leaves

DRAWS = 2
ZEROS = 0.3
"""Share of noise that is zero: a mask of ones must not look like a constant."""


def variations(model: nn.Module, example: Any, run: Run) -> list[Any]:
    """Inputs like an example, but for their values, or their length in one dimension.

    Values are noise of the example's mean and deviation with zeros in it, integers from 0 to the
    largest, and random truth values; then numbers of the other sign, and a hundred times as large;
    then the same integer everywhere, 0 and the largest. The largest is that of the example, or the
    last that an ``nn.Embedding`` has which is given the example's. Lengths are half and twice the
    example's, in each dimension, of all parts that have that dimension as long as the first part.

    Parameters
    ----------
    model
        Runs on them.
    example
        Inputs of it.
    run
        Runs it on the example.
    """
    generator = torch.Generator().manual_seed(0)
    largest = _largest(model, example, run)
    ways: list[Callable[[Any], Any]] = [lambda leaf: _noise(leaf, largest, generator)] * DRAWS
    floats, integers = (
        any(isinstance(leaf, Tensor) and has(leaf) for leaf in leaves(example))
        for has in (Tensor.is_floating_point, _is_integer)
    )
    ways += [partial(_scaled, by=by) for by in (-1.0, 100.0)] if floats else []
    ways += [partial(_same, value=each) for each in (lambda _: 0, largest)] if integers else []
    first = next((leaf for leaf in leaves(example) if isinstance(leaf, Tensor)), None)
    for dimension in range(0 if first is None else first.dim()):
        length = first.shape[dimension]  # type: ignore[union-attr]
        if length > 1:
            ways += [_along(change, dimension, length) for change in (_half, _twice)]
    return [map_leaves(way, example) for way in ways]


def _largest(model: nn.Module, example: Any, run: Run) -> Callable[[Tensor], int]:
    """The largest integer that may be in a part of the example."""
    parts = [leaf for leaf in leaves(example) if isinstance(leaf, Tensor) and _is_integer(leaf)]
    found: dict[int, int] = {}

    def look(module: Any, args: Any) -> None:
        for part in parts:
            if args and args[0].shape == part.shape and torch.equal(args[0], part.to(args[0])):
                last = int(module.num_embeddings) - 1
                found[id(part)] = min(last, found.get(id(part), last))

    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    handles = [table.register_forward_pre_hook(look) for table in tables]
    try:
        with torch.no_grad():
            if parts and tables:
                run(model)
    finally:
        for handle in handles:
            handle.remove()
    return lambda leaf: found.get(id(leaf), max(int(leaf.max()), 0))


def _is_integer(leaf: Tensor) -> bool:
    return not (leaf.is_floating_point() or leaf.is_complex() or leaf.dtype == torch.bool)


def _noise(leaf: Any, largest: Callable[[Tensor], int], generator: torch.Generator) -> Any:
    if not isinstance(leaf, Tensor) or not leaf.numel() or leaf.is_complex():
        return leaf
    if leaf.dtype == torch.bool:
        found = torch.rand(leaf.shape, generator=generator) < 0.5
    elif leaf.is_floating_point():
        spread = leaf.std() if leaf.numel() > 1 else leaf.new_tensor(0.0)
        noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float32)
        values = noise * float(torch.nan_to_num(spread)) + float(leaf.mean())
        found = values * (torch.rand(leaf.shape, generator=generator) >= ZEROS)
    else:
        found = torch.randint(0, largest(leaf) + 1, leaf.shape, generator=generator)
    return found.to(leaf.device, leaf.dtype)


def _scaled(leaf: Any, by: float) -> Any:
    return leaf * by if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def _same(leaf: Any, value: Callable[[Tensor], int]) -> Any:
    fits = isinstance(leaf, Tensor) and _is_integer(leaf) and leaf.numel()
    return torch.full_like(leaf, value(leaf)) if fits else leaf


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
