"""Read a pickled CIFAR-10 batch without running, or even importing, anything that it names.

A pickle can call any function, and numpy's own array reconstruction crashes the interpreter on a
damaged one. Here the unpickler knows five names, and each is an inert stand-in.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from study.errors import UsageError

_PIXELS = 3 * 32 * 32


def decode_pickle(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read a dictionary with ``data`` (uint8, (n, 3072)) and ``labels`` (a list of 0 to 9).

    Parameters
    ----------
    name
        Of the batch, for messages.
    data
        The pickle, of protocol 4 or older.

    Returns
    -------
    tuple of ndarray
        Pixels, uint8 (n, 3072), and labels, uint8 (n,).

    Raises
    ------
    UsageError
        If the pickle is damaged, names anything else than a plain array, or is no such batch.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        return batch[b"data"].as_uint8(), _labels(batch[b"labels"])
    except Exception as error:  # a damaged pickle raises almost any kind of exception
        raise UsageError(f"task.data_dir: {name} is no batch of CIFAR-10: {error}") from error


def _labels(values: Any) -> np.ndarray:
    if not all(type(value) is int and 0 <= value <= 9 for value in values):
        raise ValueError("its labels are not whole numbers from 0 to 9")
    return np.array(values, np.uint8)


class _Dtype:
    """In place of ``numpy.dtype``: remembers its code."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.encode() if isinstance(code, str) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, which single bytes have not."""


class _Array:
    """In place of ``numpy.ndarray``: remembers its state, and gives back bytes only."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def as_uint8(self) -> np.ndarray:
        match self.state:
            case (_, (int(n), int(width)), _Dtype(code=b"u1"), bool() | int(), bytes(values)):
                if n >= 0 and width == _PIXELS and n * width == len(values):
                    flat = np.frombuffer(values, np.uint8)
                    return flat.reshape(width, n).T if self.state[3] else flat.reshape(n, width)
        raise ValueError("its data are no whole uint8 array of 3,072 columns")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes under the older protocols."""
    if encoding != "latin1":
        raise ValueError(f"it wants to encode text as {encoding}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it wants to load {module}.{name}, which is not allowed")
        return _STAND_INS[module, name]
