"""Tables as TOML in the shortest way, whatever their values are: also what no study may hold."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping
from datetime import date
from typing import Any


def toml(tables: Mapping[str, Any]) -> str:
    """A whole file."""
    lines = []
    for name, table in tables.items():
        if isinstance(table, Mapping):
            lines += [f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {inline(value)}" for key, value in table.items()]
        else:
            lines = [f"{_key(name)} = {inline(table)}", *lines]
    return "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, date):
        return value.isoformat()
    return _digits(value) if isinstance(value, int) else repr(value)


def _digits(value: int) -> str:
    return hex(value) if abs(value) > 10**300 else str(value)


def _key(key: str) -> str:
    bare = key and all(c in string.ascii_letters + string.digits + "-_" for c in key)
    return key if bare else json.dumps(key, ensure_ascii=False)
