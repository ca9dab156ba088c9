"""Files that grow line by line where only whole objects can be written: as parts, in order.

A file is either one object, which then is all of it, or parts beside each other, such as
``events.jsonl.part-000000``. Copies of a study keep their parts, on whatever file system they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

PART_BYTES = 1 << 16
"""Of a part: the next line begins another one. An object is written anew with each line in it."""

_PART = re.compile(r"(.+\.(?:jsonl|journal))\.part-(\d{6})")


def has_parts(name: str) -> bool:
    """Whether a file of this name may be in parts."""
    return name.endswith((".jsonl", ".journal"))


def part_name(name: str, number: int) -> str:
    """The name of a part, from 0."""
    return f"{name}.part-{number:06d}"


def number_of(part: str) -> int:
    """Which part it is, from 0."""
    return int(part[-6:])


def whole_name(name: str) -> str:
    """The name of the file that something is a part of; of a whole file its own."""
    part = _PART.fullmatch(name)
    return part[1] if part else name


def parts_of(name: str, among: Iterable[str]) -> list[str]:
    """The names of the parts of a file, in order."""
    return sorted(each for each in among if each != name and whole_name(each) == name)


def joined(contents: Sequence[bytes]) -> bytes:
    """The content of all parts. A crash may have torn the last line of any, on a local copy."""
    *before, last = contents
    return b"".join([*(c if c.endswith(b"\n") or not c else c + b"\n" for c in before), last])
