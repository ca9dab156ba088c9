"""Inputs of any form: a tensor, or a dict, tuple or dataclass of them, handled leaf by leaf."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.errors import UsageError

Leaf = Tensor | np.ndarray
"""Examples lie along the first dimension. An array is one that stays on disk, memory-mapped."""


def map_leaves(function: Callable[..., Any], *structures: Any) -> Any:
    """Apply a function to the leaves of structures of one form, and put the results in that form.

    Mappings become dicts; whatever is no tensor, array or container is taken from the first.
    """
    first = structures[0]
    if isinstance(first, (Tensor, np.ndarray)):
        return function(*structures)
    if isinstance(first, Mapping):
        return {key: map_leaves(function, *(each[key] for each in structures)) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [map_leaves(function, *each) for each in zip(*structures, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in dataclasses.fields(first) if field.init]
        changed = {n: map_leaves(function, *(getattr(s, n) for s in structures)) for n in names}
        return dataclasses.replace(first, **changed)
    return first


def leaves(structure: Any) -> list[Leaf]:
    """The tensors and arrays in a structure, in order."""
    found: list[Leaf] = []

    def note(leaf: Leaf) -> Leaf:
        found.append(leaf)
        return leaf  # a dataclass checks what it is made of

    map_leaves(note, structure)
    return found


def joined(batches: Sequence[Any], examples: Sequence[int]) -> Any:
    """Batches one after the other: leaves joined along the first dimension.

    Parameters
    ----------
    batches
        Of one form. A list or tuple with an entry for each example (names; the boxes of an image),
        in place of parts with all examples along their first dimension, gets longer.
    examples
        In each batch.

    Raises
    ------
    UsageError
        If leaves differ in shape after the first dimension.
    """
    first = batches[0]
    if isinstance(first, Mapping):
        return {key: joined([batch[key] for batch in batches], examples) for key in first}
    if isinstance(first, (list, tuple)):
        if all(map(_has_entry_of_each, batches, examples)):
            return [entry for batch in batches for entry in batch]
        parts = [joined(each, examples) for each in zip(*batches, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return map_leaves(_concatenated, *batches)


def _has_entry_of_each(batch: Any, examples: int) -> bool:
    found = leaves(batch)
    are_parts = bool(found) and all(leaf.ndim and len(leaf) == examples for leaf in found)
    return len(batch) == examples and not are_parts


def _concatenated(*parts: Tensor) -> Tensor:
    try:
        return torch.cat([torch.atleast_1d(part) for part in parts])
    except RuntimeError as error:
        shapes = ", ".join(sorted({str(tuple(part.shape[1:])) for part in parts}))
        raise UsageError(
            f"metrics: a function sees a whole split at once, but batches differ in shape: "
            f"{shapes} an example. Pad all examples to one length in collate=, or give a metric "
            "of torchmetrics, which takes batch by batch."
        ) from error


def usual_type(values: Tensor) -> Tensor:
    """In the type that losses take: float32 or int64; bytes, bool and complex stay."""
    if values.is_floating_point():
        return values.float()
    if values.is_complex() or values.dtype in (torch.uint8, torch.bool):
        return values
    return values.long()


def to_device(structure: Any, device: torch.device) -> Any:
    """The tensors on a device; arrays on disk stay there."""
    return map_leaves(lambda x: x.to(device) if isinstance(x, Tensor) else x, structure)


def rows(structure: Any, index: Tensor) -> Any:
    """Examples of a structure as tensors, of arrays on disk no more than these are read.

    Parameters
    ----------
    structure
        Whose leaves have examples along the first dimension.
    index
        Which, int64, shape (n,).
    """

    def take(leaf: Leaf) -> Tensor:
        if isinstance(leaf, Tensor):
            # index_select copies whole examples; leaf[index] would go element by element.
            return leaf.index_select(0, index.to(leaf.device))
        read = np.ascontiguousarray(leaf[index.cpu().numpy()])
        return usual_type(torch.from_numpy(read.astype(read.dtype.newbyteorder("="), copy=False)))

    return take(structure) if isinstance(structure, Tensor) else map_leaves(take, structure)


def count(field: str, structure: Any) -> int:
    """Examples in a structure.

    Raises
    ------
    UsageError
        If it has no tensor, or its tensors differ in length.
    """
    lengths = {len(leaf) if leaf.ndim else None for leaf in leaves(structure)}
    if len(lengths) != 1 or None in lengths:
        told = sorted(str(length) for length in lengths)
        raise UsageError(
            f"{field}: needs tensors or arrays with examples along their first dimension; found "
            f"lengths {', '.join(told) or 'none at all'}."
        )
    return int(lengths.pop())  # type: ignore[arg-type]


def describe(structure: Any) -> str:
    """Shapes and types of one example, for a message."""
    if isinstance(structure, (Tensor, np.ndarray)):
        return f"{str(structure.dtype).removeprefix('torch.')} {tuple(structure.shape[1:])}"
    if isinstance(structure, Mapping):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in structure.items()) + "}"
    if isinstance(structure, (tuple, list)):
        return "(" + ", ".join(map(describe, structure)) + ")"
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        fields = {f.name: getattr(structure, f.name) for f in dataclasses.fields(structure)}
        return f"{type(structure).__name__}({describe(fields)})"
    return type(structure).__name__
