"""Networks of the same recipe on several seeds, as one row with its spread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.reading.candidates import meets, with_figures
from analysis.reading.metrics import worse_by
from analysis.reading.results import Results
from analysis.reading.trials import BY_LAYER, PLAN_COLUMNS
from analysis.statistics.intervals import CONFIDENCE, t_intervals

MEASURES = (
    "density", "compression_ratio", "theoretical_speedup", "train_epochs", "macs",
    "nonzero_parameters", "latency_ms", "speedup_measured",
)  # fmt: skip


def searched(results: Results) -> Results:
    """The same results without replicates: what the search itself asked for.

    Replicates are chosen networks on further seeds. Among the trials they would make a way of
    pruning that was chosen look as if it had been tried more often.
    """
    return _without(results, "replicate_of")


def _without(results: Results, mark: str) -> Results:
    """Without the trials that a column of them marks."""
    marked = results.trials[mark]
    gone = marked if marked.dtype == bool else marked.notna()
    if not gone.any():
        return results
    ids = set(results.trials.loc[gone, "trial_id"])
    return replace(
        results,
        trials=results.trials[~gone].reset_index(drop=True),
        rounds=results.rounds[~results.rounds["trial_id"].isin(ids)].reset_index(drop=True),
        parts={name: _without(part, mark) for name, part in results.parts.items()},
    )


def drawn(results: Results) -> Results:
    """The same results without replicates and textbook run: what the search itself proposed.

    The textbook run is the same in every study, and no sample of what it does: in a comparison of
    groups it would stand for whatever group it is in.
    """
    return _without(searched(results), "is_textbook")


def recipes(results: Results) -> pd.Series:
    """Number of each trial's recipe, by trial_id: the same where only the seed differs."""
    trials = results.trials.drop_duplicates("trial_id")
    by = ["study", *(name for name in PLAN_COLUMNS if name != "seed")]
    by += [name for name in trials.columns if name.startswith(BY_LAYER)]
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
        (seeds), replicates (how many of them are new), density, compression_ratio,
        theoretical_speedup, train_epochs, macs and nonzero_parameters (means). With NAME the
        study's quality, such as accuracy: val_NAME with NAME_std, NAME_low and NAME_high; NAME_drop
        (how much worse than dense, in the metric's own unit) with drop_std, drop_low and drop_high
        (standard deviations and Student-t intervals over seeds, NaN with one seed); dense_NAME,
        of the dense networks of these seeds. meets_constraints: whether the means over its seeds
        meet the study's. Networks of which a figure is not finite are left out.

    Raises
    ------
    UsageError
        If ``confidence`` is not between 0 and 1, or studies are judged by different metrics.
    """
    quality = results.quality
    value, drop, dense_name = quality.column, quality.drop_column, f"dense_{quality.name}"
    rounds = with_figures(results)
    rounds = rounds.assign(recipe=rounds["trial_id"].map(recipes(results)))
    dense = rounds[rounds["round"] == 0].groupby(["study", "seed"])[value].mean()
    dense_of_seed = dense.rename(dense_name).reset_index()
    pruned = rounds[rounds["round"] > 0].merge(dense_of_seed, on=["study", "seed"], how="left")
    pruned[drop] = worse_by(quality, pruned[dense_name], pruned[value])
    # A seed that was run twice is one seed.
    by = ["study", "recipe", "round"]
    of = results.trials.drop_duplicates("trial_id").set_index("trial_id")["replicate_of"]
    origin = pruned["trial_id"].map(of)
    pruned["replicates"] = origin.notna()
    chosen = ~pruned["replicates"] & pruned.groupby(by)["replicates"].transform("any")
    pruned = pruned.assign(trial_id=origin.fillna(pruned["trial_id"]))[~chosen]
    figures = [metric.column for metric in results.metrics]
    means = dict.fromkeys([*figures, drop, dense_name, *MEASURES], "mean")
    seeds: pd.DataFrame = pruned.groupby([*by, "seed"], sort=False).agg(
        {"trial_id": "first", **means, "replicates": "max"}
    )
    seeds = seeds.reset_index()
    grouped = seeds.groupby(by, sort=False)
    every: pd.DataFrame = grouped.agg({"trial_id": "first", **means}).reset_index()
    table = every[[*by, "trial_id", *MEASURES]].copy()
    table["replicates"] = grouped["replicates"].sum().to_numpy()
    for column, name in ((value, quality.name), (drop, "drop")):
        spread = t_intervals(seeds, column, by, confidence)
        table[column] = spread["mean"]
        table[f"{name}_std"] = spread["std"]
        table[f"{name}_low"], table[f"{name}_high"] = spread["low"], spread["high"]
        table["n"] = grouped.size().to_numpy()
    table[dense_name] = every[dense_name]
    table["meets_constraints"] = np.ones(len(every), dtype=bool)
    for study, part in (results.parts or {results.name: results}).items():
        own = every["study"] == study
        table.loc[own, "meets_constraints"] = meets(part, every[own])
    return table
