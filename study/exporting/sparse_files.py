"""Sparse storage: a bit for each weight, and the values of those that are not zero.

Of a network with a share d of its float32 weights left it takes d + 1/32 of the bytes, and no
decompression. A zero is what has no bit set: -0.0 is a value, so that what is read is what was
written, bit for bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from study.errors import UsageError

LAYOUT = "sparse"
"""Key of the metadata that says what is where."""

DENSE, MASK, VALUES = "dense.", "mask.", "values."


def to_sparse(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Write tensors in sparse storage.

    A tensor that this would make no smaller is written as it is (``dense.NAME``), any other as
    ``mask.NAME``, uint8, the bits of eight entries in each from the highest on, row by row, and
    ``values.NAME``. Tensors that share their memory are written once.

    Parameters
    ----------
    state
        Tensors by name.
    metadata
        Kept in the file.
    """
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    tied: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and first.setdefault(place, name) != name:
            tied[name] = first[place]
            continue
        flat = tensor.detach().cpu().contiguous().flatten()
        kept = _has_a_bit(flat)
        bits = torch.from_numpy(np.packbits(kept.numpy()))
        values = flat[kept]
        if bits.nbytes + values.nbytes < flat.nbytes:
            tensors[f"{MASK}{name}"], tensors[f"{VALUES}{name}"] = bits, values
            shapes[name] = list(tensor.shape)
        else:
            tensors[f"{DENSE}{name}"] = flat.clone().reshape(tensor.shape)
    layout = json.dumps({"order": list(state), "shapes": shapes, "tied": tied})
    return save(tensors, metadata={**metadata, LAYOUT: layout})


def from_sparse(data: bytes) -> dict[str, Tensor]:
    """Read what :func:`to_sparse` wrote, in its order; tied tensors share their memory again.

    Raises
    ------
    UsageError
        If the data are damaged, or not in sparse storage.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        layout = json.loads(header["__metadata__"][LAYOUT])
        tensors = load(data)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UsageError(
            f"this is no file in sparse storage, or a damaged one ({error}); prune-study export "
            "-o FILE.safetensors --sparse writes one"
        ) from error
    found: dict[str, Tensor] = {}
    for name in layout["order"]:
        if name in layout["tied"]:
            found[name] = found[layout["tied"][name]]
        elif name in layout["shapes"]:
            values, shape = tensors[f"{VALUES}{name}"], layout["shapes"][name]
            size = int(np.prod(shape, dtype=np.int64))
            kept = np.unpackbits(tensors[f"{MASK}{name}"].numpy(), count=size).astype(bool)
            flat = torch.zeros(size, dtype=values.dtype)
            flat[torch.from_numpy(kept)] = values
            found[name] = flat.reshape(shape)
        else:
            found[name] = tensors[f"{DENSE}{name}"]
    return found


def load_sparse(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a file in sparse storage as a dense ``state_dict``.

    Parameters
    ----------
    path
        A file that ``prune-study export -o FILE.safetensors --sparse`` wrote.

    Returns
    -------
    dict of str to Tensor
        On the CPU, for ``model.load_state_dict``.

    Raises
    ------
    UsageError
        If it is another file, or damaged.

    Examples
    --------
    >>> model.load_state_dict(study.load_sparse("network.safetensors"))  # doctest: +SKIP
    """
    try:
        return from_sparse(Path(path).read_bytes())
    except UsageError as error:
        raise UsageError(f"{os.fspath(path)}: {error}") from error


def _has_a_bit(flat: Tensor) -> Tensor:
    """Which entries are anything but a zero without a sign: bool, shape (n,)."""
    if not flat.numel():
        return torch.zeros(0, dtype=torch.bool)
    return (flat.view(torch.uint8).reshape(flat.numel(), -1) != 0).any(dim=1)
