"""What no value of a study file may be, wherever it stands."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

from study.errors import UsageError, shortened

DEEPEST = 12
"""Tables and lists within each other; the deepest field has four."""

LONGEST = 100_000
"""Letters of a text, and items of a list or table."""

LONGEST_KEY = 1000
"""Letters of a key; the longest ones are names of layers."""

_LEAST, _MOST = -(2**63), 2**63 - 1


def check_values(tables: Mapping[str, Any]) -> None:
    """Refuse what TOML or a study has no place for, before it is read field by field.

    Raises
    ------
    UsageError
        If a number is not finite or takes more than 64 bits, a text has control characters or
        bytes that are not UTF-8, a value is a date, or tables are within each other for ever.
    """
    waiting: list[tuple[str, Any, int]] = [("", tables, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        if depth > DEEPEST:
            raise UsageError(f"{where}: more than {DEEPEST} tables or lists within each other.")
        for name, inner in _items(where, value):
            _check(name, inner)
            if isinstance(inner, (Mapping, list, tuple)):
                waiting.append((name, inner, depth + 1))


def _items(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if len(value) > LONGEST:
        raise UsageError(f"{where}: {len(value)} items; at most {LONGEST} are allowed.")
    if not isinstance(value, Mapping):
        yield from ((where, item) for item in value)
        return
    for key, inner in value.items():
        if not isinstance(key, str):
            raise UsageError(f"{where or 'study file'}: the key {shortened(key)} is no text.")
        if len(key) > LONGEST_KEY:
            raise UsageError(
                f"{where or 'study file'}: the key {shortened(key)} has {len(key)} letters; at "
                f"most {LONGEST_KEY} are allowed."
            )
        _check_text(f"{where or 'study file'}: the key", key)
        yield f"{where}.{key}" if where else key, inner


def _check(name: str, value: Any) -> None:
    if isinstance(value, (date, time)):
        raise UsageError(f"{name}: {value} is a date or time; no field takes one.")
    if isinstance(value, str):
        _check_text(name, value)
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise UsageError(
            f"{name}: a whole number of {value.bit_length()} bits; those of TOML have 64."
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name}: {value} is not allowed; write a finite number.")


def _check_text(name: str, text: str) -> None:
    if len(text) > LONGEST:
        raise UsageError(f"{name}: {len(text)} letters; at most {LONGEST} are allowed.")
    unusual = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs")), None)
    if unusual is not None:
        what = "bytes that are not UTF-8" if ord(unusual) >= 0xD800 else "a control character"
        raise UsageError(f"{name}: {shortened(text)} has {what} in it ({unusual!r}).")
