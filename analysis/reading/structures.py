"""What plans remove, in words."""

from __future__ import annotations

import re
from typing import Any


def structure_text(structure: Any) -> Any:
    """A plan's structure; of a table by layer, what goes of which layers."""
    if not isinstance(structure, dict):
        return structure
    return ", ".join(f"{written} of {pattern}" for pattern, written in structure.items())


def has_units(text: str) -> bool:
    """Whether whole channels or heads are taken out, by a structure in words."""
    return re.search(r"\b(channels|heads|units)\b", text) is not None
