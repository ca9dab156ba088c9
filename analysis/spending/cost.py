"""What a study cost, and what stopping trials and sharing dense runs saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.results import Results
from analysis.spending.spending import AMOUNTS, round_costs, scan_train_samples
from analysis.style import COLOURS, axes_or_new, counted, entitle, legend, plain, say, tidy

CUT_OFF = ("time_budget", "interrupted", "diverged")
"""Reasons of a stop that no rule saved: the study ended before the trial did, or its network was
lost, and no further round of it could have been run."""

ROOM_FOR_NAMES = 0.6
"""Room for the legend above the bars, as a share of theirs."""


def trial_costs(results: Results) -> pd.DataFrame:
    """What each trial cost, and what it was spared.

    Only finished rounds are counted; what an unfinished one used is not recorded. Spared are the
    rounds that a trial was not let run because early stopping ended it. Those that the end of the
    study cut off, or that a network had diverged before, are not spared, only missing.

    Returns
    -------
    DataFrame
        One row a trial: study, trial_id, status, stop_reason, rounds_planned, rounds_finished;
        train_epochs, train_samples and wall_s as *charged* (dense run included); the same as
        ``spent_*``, with a shared dense run paid for once; and as ``spared_*``, what the rounds
        after a stop would have taken at the trial's own pace (of a trial that was stopped in its
        first, at that of its plan's epochs and its study's others).
    """
    trials, rounds = results.trials, results.rounds
    table = trials[["study", "trial_id", "status", "stop_reason"]].copy()
    table["rounds_planned"] = trials["rounds"]
    table["rounds_finished"] = trials["rounds_finished"]
    added = round_costs(rounds)
    spent = added.groupby(rounds["trial_id"]).sum()
    for name in AMOUNTS:
        table[name] = trials[name].fillna(0.0)
        table[f"spent_{name}"] = table["trial_id"].map(spent[name]).astype("float64").fillna(0.0)
    pruned = rounds["round"] > 0
    retraining = added[pruned].groupby(rounds["trial_id"]).sum()
    missing = _missing_rounds(trials)
    epochs = _pace(trials, retraining["train_epochs"], trials["retrain_epochs"])
    for name in AMOUNTS:
        # What an epoch takes is much the same in all trials of a study.
        totals = added[pruned].groupby(rounds["study"]).sum()
        rate = trials["study"].map(totals[name] / totals["train_epochs"]).astype("float64")
        pace = _pace(trials, retraining[name], epochs * rate)
        table[f"spared_{name}"] = (missing * pace).fillna(0.0)
    return table


def _missing_rounds(trials: pd.DataFrame) -> pd.Series:
    """Rounds of the plan that a stop spared."""
    planned = trials["rounds"].astype("float64")
    stopped = (trials["status"] == "stopped") & ~trials["stop_reason"].isin(CUT_OFF)
    missing: pd.Series = (planned - trials["rounds_finished"]).clip(lower=0.0)
    return missing.where(stopped, 0.0)


def _pace(trials: pd.DataFrame, total: pd.Series, otherwise: pd.Series) -> pd.Series:
    """What one round of each trial took, or would have taken."""
    done = trials["rounds_finished"]
    pace = trials["trial_id"].map(total).astype("float64") / done.where(done > 0)
    return pace.fillna(otherwise.astype("float64"))


def cost_summary(results: Results) -> dict[str, float]:
    """Totals of a study.

    Returns
    -------
    dict
        ``trials``, ``networks`` (pruned, one a finished round), ``elapsed_s`` (from the study's
        start to its last record), and, each with train_epochs, train_samples and wall_s (summed
        over trials) for ``*``: ``spent_*``, ``charged_*`` (as if every trial had trained its own
        dense network), ``saved_by_sharing_*`` and ``saved_by_stopping_*``; and
        ``scan_train_samples`` (:func:`~analysis.spending.spending.scan_train_samples`), which the
        spent and the charged examples count.
    """
    costs = trial_costs(results)
    summary = {
        "trials": float(len(costs)),
        "networks": float((results.rounds["round"] > 0).sum()),
        "elapsed_s": float(elapsed_s(results, pd.Series(_last_moment(results))).iloc[0]),
    }
    for name in AMOUNTS:
        charged, spent = float(costs[name].sum()), float(costs[f"spent_{name}"].sum())
        summary[f"spent_{name}"] = spent
        summary[f"charged_{name}"] = charged
        summary[f"saved_by_sharing_{name}"] = charged - spent
        summary[f"saved_by_stopping_{name}"] = float(costs[f"spared_{name}"].sum())
    summary["scan_train_samples"] = scan_train_samples(results)
    summary["spent_train_samples"] += summary["scan_train_samples"]
    summary["charged_train_samples"] += summary["scan_train_samples"]
    return summary


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


def working_s(results: Results) -> list[float]:
    """Seconds that each run of a study took, from its start or its resumption to its last event.

    Returns
    -------
    list of float
        The last run last; at least one. What lies between two runs, when nobody ran it, is of none.
    """
    at = results.events["at"].sort_values()
    begins = results.events["event"].isin(["study_started", "study_resumed"])
    runs = begins.loc[at.index].cumsum()
    return [float((own.max() - own.min()).total_seconds()) for _, own in at.groupby(runs)] or [0.0]


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
    ax = axes_or_new(ax, width=8.0, height=2.2 + 0.5 * max(len(table), 1))
    if table.empty or table.to_numpy().sum() == 0:
        return say(ax, "no round was finished: nothing is known of the cost")
    tidy(ax)
    left, studies = np.zeros(len(table)), [plain(str(study)) for study in table.index]
    for number, name in enumerate(table.columns):
        if not table[name].any():
            continue
        saved = name.startswith("saved")
        ax.barh(
            studies, table[name], left=left, height=0.55, label=name,
            color="white" if saved else COLOURS[number], edgecolor=COLOURS[number],
            hatch=("////", "....")[number % 2] if saved else None, linewidth=0.8,
        )  # fmt: skip
        left += table[name].to_numpy()
    ax.set(xlabel="training epochs", ylabel="")
    entitle(ax, f"filled: spent; hatched: saved (n = {counted(len(results.trials), 'trial')})")
    ax.margins(x=0.02)
    # Above the bars, within the axes: beside them may be another drawing.
    ax.set_ylim(-0.5, len(table) - 0.5 + ROOM_FOR_NAMES * max(len(table), 1))
    legend(ax, loc="upper left", ncols=2)
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
