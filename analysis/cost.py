"""What a study cost, and what stopping trials and sharing dense runs saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.results import Results
from analysis.spending import AMOUNTS, round_costs
from analysis.style import COLOURS, axes_or_new, entitle, legend, say, tidy


def trial_costs(results: Results) -> pd.DataFrame:
    """What each trial cost, and what it was spared.

    Only finished rounds are counted; what an unfinished one used is not recorded.

    Returns
    -------
    DataFrame
        One row a trial: study, trial_id, status, stop_reason, rounds_planned, rounds_finished;
        train_epochs, train_samples and wall_s as *charged* (dense run included); the same as
        ``spent_*``, with a shared dense run paid for once; and ``spared_train_epochs``, the
        epochs that the rounds after a stop would have taken at the trial's own pace.
    """
    trials, rounds = results.trials, results.rounds
    table = trials[["study", "trial_id", "status", "stop_reason"]].copy()
    table["rounds_planned"] = trials["rounds"]
    table["rounds_finished"] = trials["rounds_finished"]
    spent = round_costs(rounds).groupby(rounds["trial_id"]).sum()
    for name in AMOUNTS:
        table[name] = trials[name].fillna(0.0)
        table[f"spent_{name}"] = table["trial_id"].map(spent[name]).astype("float64").fillna(0.0)
    dense = rounds[rounds["round"] == 0].drop_duplicates("trial_id").set_index("trial_id")
    dense_epochs = trials["trial_id"].map(dense["train_epochs"]).astype("float64")
    retraining = trials["train_epochs"] - dense_epochs
    done = trials["rounds_finished"].to_numpy(dtype=np.float64)
    planned = trials["rounds"].to_numpy(dtype=np.float64, na_value=np.nan)
    pace = np.divide(retraining, done, out=np.full(len(trials), np.nan), where=done > 0)
    pace = np.where(np.isnan(pace), trials["retrain_epochs"].to_numpy(), pace)
    stopped = (trials["status"] == "stopped").to_numpy()
    spared = np.where(stopped, (planned - done) * pace, 0.0)
    table["spared_train_epochs"] = np.nan_to_num(spared)
    return table


def cost_summary(results: Results) -> dict[str, float]:
    """Totals of a study.

    Returns
    -------
    dict
        ``trials``, ``networks`` (pruned, one a finished round), ``spent_train_epochs``,
        ``spent_train_samples``, ``spent_wall_s`` (summed over trials), ``elapsed_s`` (from the
        study's start to its last record), ``charged_train_epochs`` (as if every trial had
        trained its own dense network), ``saved_by_sharing_train_epochs`` and
        ``saved_by_stopping_train_epochs``.
    """
    costs = trial_costs(results)
    charged, spent = costs["train_epochs"].sum(), costs["spent_train_epochs"].sum()
    return {
        "trials": float(len(costs)),
        "networks": float((results.rounds["round"] > 0).sum()),
        "spent_train_epochs": float(spent),
        "spent_train_samples": float(costs["spent_train_samples"].sum()),
        "spent_wall_s": float(costs["spent_wall_s"].sum()),
        "elapsed_s": float(elapsed_s(results, pd.Series(_last_moment(results))).iloc[0]),
        "charged_train_epochs": float(charged),
        "saved_by_sharing_train_epochs": float(charged - spent),
        "saved_by_stopping_train_epochs": float(costs["spared_train_epochs"].sum()),
    }


def elapsed_s(results: Results, moments: pd.Series) -> pd.Series:
    """Seconds from the start of the study to each moment."""
    starts = [results.events["at"].min(), results.trials["started_at"].min()]
    if len(results.rounds):
        starts.append(results.rounds["finished_at"].min())
    known = [start for start in starts if not pd.isna(start)]
    if not known:
        return pd.Series(np.nan, index=moments.index)
    seconds: pd.Series = (moments - min(known)).dt.total_seconds()
    return seconds


def _last_moment(results: Results) -> Any:
    ends = [results.events["at"].max(), results.trials["finished_at"].max()]
    if len(results.rounds):
        ends.append(results.rounds["finished_at"].max())
    known = [end for end in ends if not pd.isna(end)]
    return max(known) if known else pd.NaT


def plot_cost(results: Results, ax: Axes | None = None) -> Axes:
    """Draw where the epochs went, and which were never spent.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned; each study has a bar.
    ax
        Where to draw; a new figure if unset.
    """
    table = cost_data(results)
    ax = axes_or_new(ax, width=8.0, height=1.7 + 0.5 * max(len(table), 1))
    if table.empty or table.to_numpy().sum() == 0:
        return say(ax, "no round was finished: nothing is known of the cost")
    tidy(ax)
    left = np.zeros(len(table))
    for number, name in enumerate(table.columns):
        if not table[name].any():
            continue
        saved = name.startswith("saved")
        ax.barh(
            table.index, table[name], left=left, height=0.55, label=name,
            color="white" if saved else COLOURS[number], edgecolor=COLOURS[number],
            hatch=("////", "....")[number % 2] if saved else None, linewidth=0.8,
        )  # fmt: skip
        left += table[name].to_numpy()
    ax.set(xlabel="training epochs", ylabel="")
    entitle(ax, f"filled: spent; hatched: saved (n = {len(results.trials):,} trials)")
    ax.margins(x=0.02)
    legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def cost_data(results: Results) -> pd.DataFrame:
    """Epochs of each study (row) by what they went to, or were saved by (column)."""
    rounds, spent = results.rounds, round_costs(results.rounds)["train_epochs"]
    status = rounds["trial_id"].map(results.trials.set_index("trial_id")["status"])
    study, dense = rounds["study"], rounds["round"] == 0
    costs = trial_costs(results)

    def total(of: pd.Series) -> pd.Series:
        return of.groupby(study).sum()

    sharing = costs["train_epochs"].groupby(costs["study"]).sum() - total(spent)
    columns = {
        "dense runs": total(spent.where(dense, 0.0)),
        "completed trials": total(spent.where(~dense & (status == "completed"), 0.0)),
        "other trials": total(spent.where(~dense & (status != "completed"), 0.0)),
        "saved by sharing dense runs": sharing,
        "saved by stopping": costs.groupby("study")["spared_train_epochs"].sum(),
    }
    return pd.DataFrame(columns).fillna(0.0)
