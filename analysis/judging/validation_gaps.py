"""Selection bias: what the chosen networks reach on test data that chose nothing."""

from __future__ import annotations

import pandas as pd

from analysis.reading.results import Results
from analysis.statistics.intervals import Interval, t_interval


def validation_gap(results: Results) -> pd.DataFrame:
    """Validation against test accuracy of every network that was measured on test data.

    Returns
    -------
    DataFrame
        study, trial_id, round, seed, density, val_accuracy, test_accuracy, gap (validation minus
        test). Empty where test data were not read.
    """
    columns = ["study", "trial_id", "round", "seed", "density", "val_accuracy", "test_accuracy"]
    table = results.rounds.loc[results.rounds["test_accuracy"].notna(), columns]
    table = table.assign(gap=table["val_accuracy"] - table["test_accuracy"])
    return table.reset_index(drop=True)


def mean_gap(results: Results) -> Interval:
    """The mean gap of the pruned networks, each seed counted once."""
    table = validation_gap(results)
    pruned = table[table["round"] > 0]
    return t_interval(pruned.groupby(["study", "seed"])["gap"].mean().to_numpy())
