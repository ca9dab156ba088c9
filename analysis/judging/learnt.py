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
    """Factors of the scores of those layers that a trial moves, the largest change first."""
    trials = results.trials.set_index("trial_id")
    columns = [name for name in trials.columns if name.startswith(OF_SCORES)]
    offsets = trials.loc[trial_id, columns].astype("float64").fillna(0.0)
    moved = offsets[offsets != 0.0].sort_values(key=abs, ascending=False, kind="stable")
    return {str(name).removeprefix(OF_SCORES): float(value) for name, value in moved.items()}


def _value(cell: Any) -> Any:
    return None if pd.isna(cell) else cell
