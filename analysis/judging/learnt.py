"""In what the plan of one trial differs from another's."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.reading.results import Results
from analysis.reading.trials import PLAN_COLUMNS

OF_SCORES = "score_offset."


def plan_differences(results: Results, trial_id: str, other: str) -> dict[str, tuple[Any, Any]]:
    """Fields of a trial's plan that are not those of another's.

    Parameters
    ----------
    results
        Of one study.
    trial_id, other
        Two trials.

    Returns
    -------
    dict
        By field, its value and the other's; None where a plan has none. Seeds are of no account.
    """
    trials = results.trials.set_index("trial_id")
    found = {}
    for field in PLAN_COLUMNS:
        own, others = (_value(trials.loc[each, field]) for each in (trial_id, other))
        if field != "seed" and own != others:
            found[field] = (own, others)
    return found


def moved_layers(results: Results, trial_id: str) -> dict[str, float]:
    """Offsets of the logarithm of scores, of the layers that a trial moves, the largest first."""
    row = results.trials.set_index("trial_id").loc[trial_id]
    offsets = {str(name): row[name] for name in row.index if str(name).startswith(OF_SCORES)}
    moved = {
        name.removeprefix(OF_SCORES): float(offset)
        for name, offset in offsets.items()
        if pd.notna(offset) and offset != 0.0
    }
    return dict(sorted(moved.items(), key=lambda item: -abs(item[1])))


def _value(cell: Any) -> Any:
    return None if pd.isna(cell) else cell
