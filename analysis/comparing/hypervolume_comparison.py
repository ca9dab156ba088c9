"""Which way finds more: the hypervolumes of groups, paired by seed, at equal cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.fronts.hypervolumes import costs_of
from analysis.fronts.volumes import volume_of
from analysis.reading.candidates import is_candidate
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.spending.spending import round_costs
from analysis.statistics.differences import paired_table
from analysis.statistics.intervals import CONFIDENCE
from analysis.statistics.levels import checked_levels
from analysis.statistics.scoring import groups_of, runs_of
from study.volume import dominated


def hypervolume_scores(
    results: Results,
    by: str = "study",
    *,
    objectives: Objectives | None = None,
    reference: Mapping[str, float] | None = None,
    budgets: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The hypervolume that each group found on each seed.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several of the same task.
    by
        What makes a group: ``"study"``, or a column of ``results.trials``.
    objectives
        Columns of ``results.rounds`` and their directions; unset: those of the studies.
    reference
        A value for each objective; unset: as in :func:`analysis.hypervolume_history`, the same
        for all groups.
    budgets
        Epochs that the trials of a group may have trained together on a seed, in the order in
        which they did, with the seed's dense run once; unset: no limit. Groups differ in how
        much the search spent on them, so that only equal budgets compare ways of searching.

    Returns
    -------
    DataFrame
        group, study, seed, budget (inf without a limit), hypervolume, networks (pruned ones that
        were found within the budget), spent_train_epochs. ``attrs["reference"]`` has the
        reference. A group that found nothing on a seed that it was tried on has 0 there.

    Raises
    ------
    UsageError
        If a column does not exist, the reference is not finite, a budget is not above 0, or the
        studies have different tasks.
    """
    need_one_task(results, "a comparison of hypervolumes", "Compare each task by itself.")
    limits = dict.fromkeys(checked_levels("budgets", budgets) if budgets is not None else [np.inf])
    volume = volume_of(results, objectives, reference)
    costs = costs_of(results.rounds, volume)
    costs[~is_candidate(results)] = np.nan
    groups = groups_of(results, results.rounds, by)
    rounds = results.rounds.assign(group=groups, _place=np.arange(len(costs)))
    rows = []
    for (group, study, seed), run in rounds.groupby(["group", "study", "seed"], sort=True):
        run = run.sort_values("finished_at", kind="stable")
        spent = np.cumsum(round_costs(run)["train_epochs"].to_numpy())
        for budget in limits:
            within = run[spent <= budget * (1 + 1e-9)]
            rows.append(
                {
                    "group": group,
                    "study": study,
                    "seed": seed,
                    "budget": budget,
                    "hypervolume": dominated(costs[within["_place"]]),
                    "networks": int((within["round"] > 0).sum()),
                    "spent_train_epochs": float(spent[len(within) - 1]) if len(within) else 0.0,
                }
            )
    columns = [
        "group", "study", "seed", "budget", "hypervolume", "networks", "spent_train_epochs",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["reference"] = volume.reference
    return table


def compare_hypervolumes(
    results: Results,
    by: str = "study",
    *,
    baseline: str | None = None,
    objectives: Objectives | None = None,
    reference: Mapping[str, float] | None = None,
    budgets: Sequence[float] | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Mean differences between the hypervolumes of groups, paired by seed.

    Parameters
    ----------
    results, by, objectives, reference, budgets
        As in :func:`analysis.hypervolume_scores`.
    baseline
        The group that the others are compared with; unset: every pair.
    confidence
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        a, b, budget, and the columns of :func:`analysis.compare` from ``difference`` on.

    Raises
    ------
    UsageError
        As :func:`analysis.hypervolume_scores`, and if there is no such baseline.
    """
    table = hypervolume_scores(
        results, by, objectives=objectives, reference=reference, budgets=budgets
    )
    return paired_table(table, "hypervolume", ["budget"], runs_of(by), baseline, confidence)
