"""What each stage of a search took, and what it came to beside the textbook run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.judging.to_confirm import textbook_of
from analysis.reading.results import Results
from analysis.spending.spending import round_costs
from analysis.statistics.replicates import searched
from study.equal_size import difference


def search_stages(results: Results) -> pd.DataFrame:
    """The stages of a search, in the order in which they began.

    Parameters
    ----------
    results
        Of one study.

    Returns
    -------
    DataFrame
        stage, trials, train_samples (examples trained on, the dense run in the first), best_trial
        (the one that gains the most), gain (its mean difference from the textbook run, in the unit
        of the quality and positive where it is better, over the sizes at which both have networks
        on the data of the search) and sizes (how many). Empty where the search had no stages, or
        no textbook run. The best of several is better by luck as well: new seeds tell what holds.
    """
    columns = ["stage", "trials", "train_samples", "best_trial", "gain", "sizes"]
    own, textbook = searched(results), textbook_of(results)
    trials = own.trials[own.trials["stage"].fillna("") != ""]
    if textbook is None or trials.empty:
        return pd.DataFrame(columns=columns)
    spent = round_costs(own.rounds)["train_samples"].groupby(own.rounds["trial_id"]).sum()
    base = _course(own, textbook)
    rows = []
    for stage, of_stage in trials.groupby("stage", sort=False):
        names = of_stage["trial_id"].astype(str).tolist()
        gains = {name: difference(_course(own, name), base) for name in names}
        best = max(gains, key=lambda name: np.nan_to_num(gains[name].mean, nan=-np.inf))
        samples = float(spent.reindex(names).sum())
        rows.append((stage, len(names), samples, best, gains[best].mean, gains[best].sizes))
    return pd.DataFrame(rows, columns=columns)


def _course(results: Results, trial_id: str) -> dict[float, float]:
    rounds, quality = results.rounds, results.quality
    own = rounds[(rounds["trial_id"] == trial_id) & (rounds["round"] > 0)]
    own = own[own[quality.column].notna() & (own[results.size] > 0)]
    sign = 1.0 if quality.direction == "max" else -1.0
    return dict(zip(own[results.size], sign * own[quality.column], strict=True))
