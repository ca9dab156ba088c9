"""Values that are no plain tensor, as JSON beside tensors: what a module's extra state holds."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from study.errors import UsageError


def is_plain(value: Any) -> bool:
    """Whether a file of tensors holds it as it is."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.dtype != torch.complex128
    )


def encode(name: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of a value; tensors in it are added to ``tensors`` below its name.

    Raises
    ------
    UsageError
        If it has something in it that only Python itself could read again.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if is_plain(value):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Tensor) and value.layout is torch.strided:
        tensors[name] = torch.view_as_real(value.resolve_conj())
        return {"complex": name}
    if isinstance(value, Tensor) and value.layout is torch.sparse_coo:
        parts = (value.coalesce().indices(), value.coalesce().values(), tuple(value.shape))
        return {"sparse": _encode_all(name, parts, tensors)}
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"tuple": _encode_all(name, value, tensors)}
    if isinstance(value, list):
        return {"list": _encode_all(name, value, tensors)}
    if isinstance(value, dict):
        pairs = [[key, part] for key, part in value.items()]
        return {"dict": _encode_all(name, pairs, tensors)}
    raise UsageError(
        f"state {name!r} has a {type(value).__name__} in it, which no state file holds; let "
        "get_extra_state give tensors, numbers, texts, None, and lists, tuples and dicts of these."
    )


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What :func:`encode` encoded."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "complex":
        return torch.view_as_complex(tensors[content])
    if kind == "bytes":
        return b64decode(content)
    parts = [decode(part, tensors) for part in content]
    if kind == "sparse":
        indices, entries, shape = parts
        return torch.sparse_coo_tensor(
            indices, entries, shape, is_coalesced=True, check_invariants=True
        )
    if kind == "dict":
        return dict(parts)
    return tuple(parts) if kind == "tuple" else parts


def tensors_in(value: Any) -> list[str]:
    """Names of the tensors that an encoded value refers to."""
    if not isinstance(value, dict):
        return []
    ((kind, content),) = value.items()
    if kind in ("tensor", "complex"):
        return [content]
    return [] if kind == "bytes" else [name for part in content for name in tensors_in(part)]


def _encode_all(name: str, values: Any, tensors: dict[str, Tensor]) -> list[Any]:
    return [encode(f"{name}/{place}", part, tensors) for place, part in enumerate(values)]
