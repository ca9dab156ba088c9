"""Names and messages of others, made safe to show: nothing in them hides, or turns text round."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""Control characters but tab and line feed, and those that change the direction of text."""


def visible(text: str) -> str:
    """The text, with what cannot be seen as its code."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
