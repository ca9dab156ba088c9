"""What all tables of a study file have in common, and how far numbers in them go."""

from __future__ import annotations

from search_spaces.strict import Strict

MOST_TRIALS = 1_000_000
"""Of a study: with a hundred at a time and a second for each it would take three hours; plans of
all of them are held in memory."""

MOST_EXAMPLES = 10**15
"""To train on: three hundred million a second would take :data:`MOST_SECONDS` and more."""

MOST_SECONDS = 1e9
"""About thirty years."""

MOST_CORES = 65_536
"""Of a node, and GPUs; no machine has as many."""

MOST_REPEATS = 1000
"""Of anything that is trained again: seeds and attempts."""


class Table(Strict):
    """Frozen, and knows every one of its keys."""
