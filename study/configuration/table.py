"""What all tables of a study file have in common."""

from __future__ import annotations

from search_spaces.strict import Strict


class Table(Strict):
    """Frozen, and knows every one of its keys."""
