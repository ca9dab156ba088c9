"""The masks of a network, read from its file without its weights."""

from __future__ import annotations

import json
from mmap import ACCESS_READ, mmap
from typing import Any

import numpy as np

from study.records import TRIALS_DIR, round_state_file
from study.storage import Folder

_PREFIX = "mask."


def read_masks(folder: Folder, trial_id: str, round_: int) -> dict[str, np.ndarray]:
    """Masks by layer, bool, True where a weight is kept.

    Raises
    ------
    FileNotFoundError
        If the network was not kept.
    ValueError
        If its file is damaged.
    """
    name = round_state_file(round_)
    with folder.open(TRIALS_DIR, trial_id, name) as file:
        if folder.local_path is None:
            return masks_from(memoryview(file.read()))
        # Mapped, not read: the weights, of which the file mostly consists, are passed over.
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data, memoryview(data) as view:
            return masks_from(view)


def masks_from(data: memoryview) -> dict[str, np.ndarray]:
    """Masks of the bytes of a safetensors file.

    The weights beside them may be of types that NumPy has not, so the header is read here.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError("the file is cut off")
    header = json.loads(bytes(data[8:start]))
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    return {
        name.removeprefix(_PREFIX): _mask(name, facts, data[start:])
        for name, facts in header.items()
        if name.startswith(_PREFIX)
    }


def _mask(name: str, facts: Any, data: memoryview) -> np.ndarray:
    try:
        begin, end = facts["data_offsets"]
        is_whole = facts["dtype"] in ("BOOL", "U8") and 0 <= begin <= end <= len(data)
        # Bytes of its own, so that no array keeps the file mapped.
        own = bytes(data[begin:end]) if is_whole else b""
        mask: np.ndarray = np.frombuffer(own, dtype=np.uint8) != 0
        return mask.reshape(facts["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is damaged") from error
