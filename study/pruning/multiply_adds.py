"""Multiply-adds of single operations: torch's own formulas, and those that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

Formula = Callable[[Sequence[Any], Any], int]
"""``(arguments, output) -> multiply-adds``"""


def multiply_adds(
    func: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Any
) -> int | None:
    """Multiply-adds of a product of matrices, a convolution or an attention.

    Elementwise operations count as nothing, as is usual in the field.

    Parameters
    ----------
    func
        The operation, as a ``TorchDispatchMode`` sees it.
    args, kwargs, output
        What it was given, and gave.

    Returns
    -------
    int or None
        None where there is no formula.
    """
    name = operation(func)
    if name.startswith("_scaled_dot_product") and "backward" not in name:
        return _attention(args)
    if name in _FORMULAS:
        return _FORMULAS[name](args, output)
    if name in _PRODUCTS and any(_is_sparse(value) for value in args):
        return _sparse_product(args, output)
    packet = func._overloadpacket
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=output)) // 2
    return None


def elementwise_multiply_adds(func: Any, args: Sequence[Any], output: Any) -> int | None:
    """Multiply-adds of an operation that takes a weight and a value elementwise, or picks of it.

    They are counted of masked weights alone: a multiplication by a weight that is zero is one
    that is spared. Without a formula, None.
    """
    name = operation(func)
    if name in _MULTIPLIES:
        return _first(output).numel()
    if name == "_embedding_bag":
        per_sample = len(args) > 6 and args[6] is not None
        return int(args[1].numel()) * int(args[0].shape[1]) if per_sample else 0
    return 0 if name in _ADDS or name in PICKS else None


def operation(func: Any) -> str:
    """Name of an operation, without its overload and without the mark of those in place."""
    name: str = func._overloadpacket.__name__
    return name if name.startswith("__") else name.rstrip("_")


def keeps_zeros(func: Any, args: Sequence[Any], weight: Tensor) -> bool:
    """Whether the result is zero where this weight is; what a ``masked_fill`` fills is little."""
    name = operation(func)
    if name in ("div", "_weight_norm_interface"):
        return args[0] is weight
    return bool(func.is_view) or name in _KEEP_ZEROS


OF_VECTORS = {"mv", "addmv", "dot", "vdot", "addr"}
"""Products that a spectral norm makes of weights alone, once for all examples."""

_PRODUCTS = {"mm", "addmm", "_sparse_mm", "_sparse_addmm"}
_MULTIPLIES = {
    "mul",
    "addcmul",
    "_prelu_kernel",
    "native_layer_norm",
    "native_group_norm",
    "native_batch_norm",
    "_native_batch_norm_legit_no_training",
    "_fused_rms_norm",
}
PICKS = {"embedding", "index", "index_select", "gather", "take"}
"""Operations that take parts of a tensor, such as a table's rows."""

_ADDS = {
    "add",
    "sub",
    "cat",
    "stack",
    "copy",
    "where",
    "embedding_renorm",
    "zeros_like",
    "ones_like",
    "empty_like",
    "new_zeros",
    "new_empty",
    "_local_scalar_dense",
}
_KEEP_ZEROS = {
    "clone",
    "masked_fill",
    "_to_copy",
    "detach",
    "mul",
    "neg",
    "abs",
    "sgn",
    "sign",
    "tanh",
    "relu",
    "tril",
    "triu",
    "conj_physical",
    "_conj_physical",
}


def _attention(args: Sequence[Any]) -> int:
    """Queries by keys, and what comes of it by values: (..., heads, length, width) each."""
    queries, keys, values = args[:3]
    pairs = prod(queries.shape[:-1]) * keys.shape[-2]
    return int(pairs * (queries.shape[-1] + values.shape[-1]))


def _sparse_product(args: Sequence[Any], output: Tensor) -> int:
    """A product with a sparse matrix costs by its entries, such as a graph's edges."""
    entries = next(value._nnz() for value in args if _is_sparse(value))
    return int(entries) * int(output.shape[-1])


def _trilinear(args: Sequence[Any], output: Tensor) -> int:
    """One for each weight of a bilinear layer and each example."""
    shapes = []
    for tensor, added in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for dimension in added:
            shape.insert(dimension, 1)
        shapes.append(shape)
    return prod(torch.broadcast_shapes(*shapes))


_FORMULAS: dict[str, Formula] = {
    "mv": lambda args, out: args[0].numel(),
    "addmv": lambda args, out: args[1].numel(),
    "dot": lambda args, out: args[0].numel(),
    "vdot": lambda args, out: args[0].numel(),
    "addr": lambda args, out: out.numel(),
    "addbmm": lambda args, out: args[1].numel() * args[2].shape[-1],
    "_addmm_activation": lambda args, out: args[1].numel() * args[2].shape[-1],
    "_grouped_mm": lambda args, out: out.numel() * args[0].shape[-1],
    "_sparse_mm": _sparse_product,
    "_sparse_addmm": _sparse_product,
    "_trilinear": _trilinear,
}


def _is_sparse(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is not torch.strided


def _first(output: Any) -> Tensor:
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found
