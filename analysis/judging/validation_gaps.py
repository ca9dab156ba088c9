"""Selection bias: what the chosen networks reach on test data that chose nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.reading.candidates import with_figures
from analysis.reading.metrics import worse_by
from analysis.reading.results import Results
from analysis.statistics.intervals import Interval, t_interval


def validation_gap(results: Results) -> pd.DataFrame:
    """Validation against test figures of every network that was measured on test data.

    Returns
    -------
    DataFrame
        study, trial_id, round, seed, replicate_of (the trial that it ran again on a new seed, on
        which nothing was chosen; missing for others), density, ``val_NAME`` and ``test_NAME`` of
        the quality, gap (how much worse on test data). Empty where test data were not read.
    """
    quality = results.quality
    value, test = quality.column, quality.test_column
    rounds = with_figures(results)
    of = results.trials.drop_duplicates("trial_id").set_index("trial_id")["replicate_of"]
    rounds = rounds.assign(replicate_of=rounds["trial_id"].map(of))
    columns = ["study", "trial_id", "round", "seed", "replicate_of", "density", value, test]
    table: pd.DataFrame = rounds.loc[np.isfinite(rounds[test]), columns].copy()
    table["gap"] = worse_by(quality, table[value], table[test])
    return table.reset_index(drop=True)


def mean_gap(results: Results) -> Interval:
    """The mean gap of the pruned networks that validation chose, each seed counted once.

    Replicates are none of them: on their seeds nothing was chosen.
    """
    table = validation_gap(results)
    pruned = table[(table["round"] > 0) & table["replicate_of"].isna()]
    return t_interval(pruned.groupby(["study", "seed"])["gap"].mean().to_numpy())
