"""Independent streams of randomness, each a pure function of one number."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Seeds(NamedTuple):
    """What each stream decides: initial weights, data order and noise, random scores."""

    init: int
    data: int
    mask: int


def derive_seed(*parts: int | str) -> int:
    """Hash any description into a seed in [0, 2**63).

    The same parts give the same seed in every process and on every machine, and different parts
    give unrelated ones, unlike ``seed + 1``.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
