"""How many new seeds, and groups of examples, it takes to say that a network holds."""

from __future__ import annotations

FEW_EXAMPLES = 1000
"""Examples below which more seeds are needed."""

SEEDS, SEEDS_OF_FEW = 3, 5

LEAST_GROUPS = 2
"""Groups of examples without which nothing tells how groups differ."""


def seeds_needed(given: int | None, examples: int) -> int:
    """New seeds that a network is judged on before it is named.

    Parameters
    ----------
    given
        As the study file says; None: 3, or 5 where fewer than 1,000 examples judge.
    examples
        By which networks are confirmed.
    """
    if given is not None:
        return given
    return SEEDS if examples >= FEW_EXAMPLES else SEEDS_OF_FEW
