"""What each stage of a search took, what its trials asked, and what they came to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.judging.learnt import plan_differences
from analysis.judging.to_confirm import textbook_of
from analysis.reading.commands import command
from analysis.reading.files.documents import BEGINS, ENDS
from analysis.reading.results import Results
from analysis.spending.spending import round_costs
from analysis.statistics.replicates import searched
from study.equal_size import difference
from study.records import SEARCH_SETTLED

PROXIES = "families"
"""The stage whose trials are judged by their loss."""


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
        (the one that gains the most; of families, which are short proxies, the one of the least
        mean loss), gain (its mean difference from the textbook run, in the unit
        of the quality and positive where it is better, over the sizes at which both have networks
        on the data of the search) and sizes (how many). Empty where the search had no stages, or
        no textbook run. The best of several is better by luck as well: new seeds tell what holds.
    """
    columns = ["stage", "trials", "train_samples", "best_trial", "gain", "sizes"]
    rows = []
    for stage, own in stage_trials(results).groupby("stage", sort=False):
        worths = -own["loss"] if stage == PROXIES else own["gain"]
        best = own.iloc[int(worths.fillna(-np.inf).to_numpy().argmax())]
        samples = float(own["train_samples"].sum())
        rows.append((stage, len(own), samples, best["trial_id"], best["gain"], best["sizes"]))
    return pd.DataFrame(rows, columns=columns)


def stages_end(results: Results) -> str:
    """Why a search by stages ended, in a sentence; empty where it has none, or goes on.

    Parameters
    ----------
    results
        Of one study.
    """
    own, planned = searched(results), results.config.get("study", {}).get("num_samples", 0)
    told = results.events["event"]
    search = told[told.isin([*BEGINS, SEARCH_SETTLED])]
    if len(search) and search.iloc[-1] == SEARCH_SETTLED:
        return (
            f"The search ended by itself after {len(own.trials):,} of {planned:,} trials: no stage "
            "had more to try."
        )
    is_staged = results.config.get("search", {}).get("sampler") == "stages"
    course = told[told.isin([*BEGINS, *ENDS])]
    is_over = len(course) > 0 and course.iloc[-1] == "study_finished"
    if is_staged and is_over and len(own.trials) >= planned:
        more = f"{command(results, 'resume')} --num-samples {2 * planned}"
        return f"The search ended with its {planned:,} trials; a stage may have more to try: {more}"
    return ""


def stage_trials(results: Results) -> pd.DataFrame:
    """What each trial of a search by stages asked, and what came of it.

    Parameters
    ----------
    results
        Of one study.

    Returns
    -------
    DataFrame
        trial_id, stage, changes (fields of its plan that are not the textbook run's, each with its
        value and the other's), train_samples (examples trained on, the shared dense run in the
        first), gain (mean difference from the textbook run in the unit of the quality, positive
        where it is better, over the sizes at which both have networks), standard_error (of that
        mean, by the spread over the sizes), sizes (how many) and loss (mean validation loss of its
        pruned networks, by which short proxies are judged). Empty where the search had no stages.
    """
    columns = [
        "trial_id", "stage", "changes", "train_samples", "gain", "standard_error", "sizes", "loss",
    ]  # fmt: skip
    own, textbook = searched(results), textbook_of(results)
    trials = own.trials[own.trials["stage"].fillna("") != ""].sort_values("trial_id")
    if textbook is None or trials.empty:
        return pd.DataFrame(columns=columns)
    spent = round_costs(own.rounds)["train_samples"].groupby(own.rounds["trial_id"]).sum()
    losses = _losses(own)
    base, rows = _course(own, textbook), []
    for name, stage in trials[["trial_id", "stage"]].astype(str).itertuples(index=False):
        gap = difference(_course(own, name), base)
        rows.append(
            (
                name,
                stage,
                plan_differences(own, name, textbook),
                float(spent.get(name, 0.0)),
                gap.mean,
                gap.standard_error,
                gap.sizes,
                float(losses.get(name, np.nan)),
            )
        )
    return pd.DataFrame(rows, columns=columns)


def _losses(results: Results) -> pd.Series:
    """The mean validation loss of the pruned networks of each trial that came to its end."""
    trials = results.trials.set_index("trial_id")
    whole = trials.index[trials["rounds_finished"] == trials["rounds"]]
    pruned = results.rounds[results.rounds["round"] > 0]
    pruned = pruned[pruned["trial_id"].isin(whole)]
    return pruned.groupby("trial_id")["val_loss"].mean()


def _course(results: Results, trial_id: str) -> dict[float, float]:
    rounds, quality = results.rounds, results.quality
    own = rounds[(rounds["trial_id"] == trial_id) & (rounds["round"] > 0)]
    own = own[own[quality.column].notna() & (own[results.size] > 0)]
    sign = 1.0 if quality.direction == "max" else -1.0
    return dict(zip(own[results.size], sign * own[quality.column], strict=True))
