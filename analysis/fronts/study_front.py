"""The front of a study: the one that every view of it shows."""

from __future__ import annotations

import pandas as pd

from analysis.fronts.pareto import pareto_front
from analysis.reading.candidates import is_candidate
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results


def candidates(results: Results) -> pd.DataFrame:
    """The rounds that the search asked for, with figures, that meet the study's constraints."""
    trials = results.trials
    again = trials.loc[trials["replicate_of"].notna(), "trial_id"]
    return results.rounds[is_candidate(results) & ~results.rounds["trial_id"].isin(set(again))]


def study_front(results: Results, objectives: Objectives | None = None) -> pd.DataFrame:
    """The networks that no other network of their study beats.

    Diverged networks, networks that fail a constraint of the study, and replicates, which the
    search did not ask for, are not among them. The dense network is, where no pruned one beats
    it; it takes no pruned network's place. Of networks that are equal in all objectives the
    smallest is.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Columns of ``results.rounds`` and their directions; unset: those of the study.

    Returns
    -------
    DataFrame
        Rows of ``results.rounds``, best in the first objective first within each study.
    """
    objectives = results.objectives if objectives is None else objectives
    target = results.target
    size = results.size if target is None else target.column
    # Where quality alone is sought, the smallest of equally good networks is meant.
    rounds = candidates(results).sort_values(size, kind="stable")
    pruned = pareto_front(rounds[rounds["round"] > 0], objectives, by="study")
    dense = rounds[rounds["round"] == 0]
    unbeaten = pareto_front(pd.concat([dense, pruned]), objectives, by="study")
    together = pd.concat([unbeaten[unbeaten["round"] == 0], pruned])
    best, way = next(iter(objectives.items()))
    return together.sort_values(["study", best], ascending=[True, way == "min"], kind="stable")
