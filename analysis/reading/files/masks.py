"""The masks of a network, read from its file without its weights."""

from __future__ import annotations

import json
from mmap import ACCESS_READ, mmap

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
    local = folder.local_path
    if local is None:
        return masks_from(memoryview(folder.read(TRIALS_DIR, trial_id, name)))
    # Mapped, not read: the weights, of which the file mostly consists, are passed over.
    with (
        (local / TRIALS_DIR / trial_id / name).open("rb") as file,
        mmap(file.fileno(), 0, access=ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        return masks_from(view)


def masks_from(data: memoryview) -> dict[str, np.ndarray]:
    """Masks of the bytes of a safetensors file.

    The weights beside them may be of types that NumPy has not, so the header is read here.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError("the file is cut off")
    header = json.loads(bytes(data[8:start]))
    masks = {}
    for name, facts in header.items():
        if name.startswith(_PREFIX):
            begin, end = facts["data_offsets"]
            if facts["dtype"] not in ("BOOL", "U8") or start + end > len(data):
                raise ValueError(f"{name} is damaged")
            # Bytes of its own, so that no array keeps the file mapped.
            flat = np.frombuffer(bytes(data[start + begin : start + end]), dtype=np.uint8) != 0
            masks[name.removeprefix(_PREFIX)] = flat.reshape(facts["shape"])
    return masks
