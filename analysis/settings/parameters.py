"""What varied between the plans of a study."""

from __future__ import annotations

import pandas as pd

from analysis.reading.results import Results
from analysis.reading.trials import BY_LAYER, PLAN_COLUMNS


def plan_parameters(results: Results) -> pd.DataFrame:
    """The fields of the plans that differ between trials, one column each.

    The textbook run, which no search drew, is no reason to call a field one that varied.

    Returns
    -------
    DataFrame
        Indexed by trial_id; fields that are the same in all trials, or never set, are left out.
        A field that a plan does not have (the rewind epoch of a trial that rewinds nothing) is
        missing in its row.
    """
    trials = results.trials.drop_duplicates("trial_id").set_index("trial_id")
    names = [name for name in PLAN_COLUMNS if name in trials]
    names += [name for name in trials.columns if name.startswith(BY_LAYER)]
    drawn = trials[~trials["is_textbook"]]
    varied = [name for name in names if drawn[name].nunique(dropna=False) > 1]
    varied = [name for name in varied if drawn[name].notna().any()]
    return trials[varied]
