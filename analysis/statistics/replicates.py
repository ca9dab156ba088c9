"""Networks of the same recipe on several seeds, as one row with its spread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.results import Results
from analysis.reading.trials import PLAN_COLUMNS
from analysis.statistics.intervals import CONFIDENCE, t_intervals

MEASURES = ("density", "compression_ratio", "theoretical_speedup", "train_epochs")


def searched(results: Results) -> Results:
    """The same results without replicates: what the search itself asked for.

    Replicates are chosen networks on further seeds. Among the trials they would make a way of
    pruning that was chosen look as if it had been tried more often.
    """
    again = results.trials["replicate_of"].notna()
    if not again.any():
        return results
    ids = set(results.trials.loc[again, "trial_id"])
    return replace(
        results,
        trials=results.trials[~again].reset_index(drop=True),
        rounds=results.rounds[~results.rounds["trial_id"].isin(ids)].reset_index(drop=True),
        parts={name: searched(part) for name, part in results.parts.items()},
    )


def recipes(results: Results) -> pd.Series:
    """Number of each trial's recipe, by trial_id: the same where only the seed differs."""
    trials = results.trials.drop_duplicates("trial_id")
    by = ["study", *(name for name in PLAN_COLUMNS if name != "seed")]
    by += [name for name in trials.columns if name.startswith("sparsity.")]
    numbers = trials.groupby(by, dropna=False, sort=False).ngroup()
    return pd.Series(numbers.to_numpy(), index=trials["trial_id"].to_numpy(), name="recipe")


def networks(results: Results, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Every recipe at every round, over its seeds.

    The drop of a network is against the dense network of its own seed, so that the luck of a
    seed does not count as an effect of pruning. A network that was replicated is judged by its
    new seeds alone: on the one that it was chosen on, it had to do well to be chosen.

    Returns
    -------
    DataFrame
        study, recipe, round, trial_id (of the first seed, which replicates are named by), n
        (seeds), replicates (how many of them are new), density,
        compression_ratio, theoretical_speedup and train_epochs (means); val_accuracy with
        accuracy_std, accuracy_low and accuracy_high; accuracy_drop with drop_std, drop_low and
        drop_high (standard deviations and Student-t intervals over seeds, NaN with one seed).
        Networks without a finite accuracy are left out.

    Raises
    ------
    UsageError
        If ``confidence`` is not between 0 and 1.
    """
    rounds = results.rounds
    rounds = rounds[np.isfinite(rounds["val_accuracy"])]
    rounds = rounds.assign(recipe=rounds["trial_id"].map(recipes(results)))
    dense = rounds[rounds["round"] == 0].groupby(["study", "seed"])["val_accuracy"].mean()
    dense_of_seed = dense.rename("dense_accuracy").reset_index()
    pruned = rounds[rounds["round"] > 0].merge(dense_of_seed, on=["study", "seed"], how="left")
    pruned["accuracy_drop"] = pruned["dense_accuracy"] - pruned["val_accuracy"]
    # A seed that was run twice is one seed.
    by = ["study", "recipe", "round"]
    of = results.trials.drop_duplicates("trial_id").set_index("trial_id")["replicate_of"]
    origin = pruned["trial_id"].map(of)
    pruned["replicates"] = origin.notna()
    chosen = ~pruned["replicates"] & pruned.groupby(by)["replicates"].transform("any")
    pruned = pruned.assign(trial_id=origin.fillna(pruned["trial_id"]))[~chosen]
    values = ["val_accuracy", "accuracy_drop", *MEASURES]
    first_and_means: dict[str, Any] = {"trial_id": "first", **dict.fromkeys(values, "mean")}
    first_and_means["replicates"] = "max"
    seeds: pd.DataFrame = pruned.groupby([*by, "seed"], sort=False).agg(first_and_means)
    seeds = seeds.reset_index()
    grouped = seeds.groupby(by, sort=False)
    first_and_means = {"trial_id": "first", **dict.fromkeys(MEASURES, "mean")}
    table: pd.DataFrame = grouped.agg(first_and_means).reset_index()
    table["replicates"] = grouped["replicates"].sum().to_numpy()
    for value, name in (("val_accuracy", "accuracy"), ("accuracy_drop", "drop")):
        spread = t_intervals(seeds, value, by, confidence)
        table[value] = spread["mean"]
        table[f"{name}_std"] = spread["std"]
        table[f"{name}_low"], table[f"{name}_high"] = spread["low"], spread["high"]
        table["n"] = grouped.size().to_numpy()
    return table
