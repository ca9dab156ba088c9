"""Names and messages of others, made safe to show: nothing in them hides, or turns text round."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff"
    r"\ufeff\U000e0000-\U000e007f]"
)
"""Control characters but tab and line feed, halves of characters, and what turns text round."""


def visible(text: str) -> str:
    """The text, with what cannot be seen as its code."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
