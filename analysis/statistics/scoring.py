"""What each group of trials reaches on each seed, at equal density and equal budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.reading.candidates import has_figures
from analysis.reading.objectives import numbers_of
from analysis.reading.results import Results
from analysis.statistics.best_of import expected_best
from analysis.statistics.grouping import grouped_by
from analysis.statistics.levels import checked_levels
from analysis.statistics.replicates import drawn, searched
from study.errors import UsageError

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def scores(
    results: Results,
    by: str = "retrain",
    *,
    densities: Sequence[float] = DENSITIES,
    budgets: Sequence[float] | None = None,
    value: str | None = None,
) -> pd.DataFrame:
    """The best of each group on each seed among networks no denser, and no dearer, than a level.

    The best of 40 trials is not set against the best of 5: within a study and seed it is the
    expected best of as many trials as the smallest group has there, one network a trial (see
    :func:`analysis.statistics.best_of.expected_best`). Groups that are studies have their best.

    Replicates are left out: they are networks that were chosen, on seeds that had no other.
    Seeds of different studies are never one: seed 0 of two studies is two runs.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    by
        What makes a group: ``"study"``, or a column of ``results.trials`` such as
        ``"retrain"``, ``"schedule"``, ``"allocation"``, ``"saliency"`` or ``"rewind_epoch"``. Of
        numbers with more than eight values, groups are the quarters of the trials. Trials without
        a value are in no group.
    densities
        Networks may keep at most these shares of the prunable weights.
    budgets
        Networks may have taken at most these epochs, the dense run included; unset: no limit.
    value
        A numeric column of ``results.rounds`` on validation data; unset: the study's quality. The
        best is the largest or the smallest by the metric's direction; of compression and speedup
        the largest, of anything else the smallest.

    Returns
    -------
    DataFrame
        group, study, seed, density, budget (inf without a limit), ``value``, networks and trials
        (how many there were to choose from), k (of how many trials the best is expected). Diverged
        networks are left out. Groups that reach no such network have no row there.

    Raises
    ------
    UsageError
        If ``by`` is no column, ``value`` is on test data or holds no numbers, or a level is NaN
        or not above 0.
    """
    value = results.quality.column if value is None else value
    each = trial_scores(results, by, densities=densities, budgets=budgets, value=value)
    best_of = results.direction_of(value)
    level = ["density", "budget", "study", "seed"]
    groups = each.groupby(["density", "budget", "group", "study", "seed"], sort=False)
    table = groups["networks"].agg(["sum", "size"]).reset_index()
    table = table.rename(columns={"sum": "networks", "size": "trials"})
    table["k"] = table.groupby(level)["trials"].transform("min")
    bests = [
        expected_best(own.to_numpy(), k, best_of)
        for (_, own), k in zip(groups[value], table["k"], strict=True)
    ]
    table[value] = np.array(bests, dtype=np.float64)
    columns = ["group", "study", "seed", "density", "budget", value, "networks", "trials", "k"]
    scored: pd.DataFrame = table[columns]
    return scored


def trial_scores(
    results: Results,
    by: str,
    *,
    densities: Sequence[float],
    budgets: Sequence[float] | None = None,
    value: str,
) -> pd.DataFrame:
    """The best network of each trial at each level, as :func:`analysis.scores` says.

    Returns
    -------
    DataFrame
        group, study, seed, trial_id, density, budget, ``value``, networks; a trial that reaches no
        such network has no row there.
    """
    if str(value).startswith("test"):
        raise UsageError(f"value: {value!r} is on test data, which must not choose networks")
    # Whole studies are compared with what they began with, groups of trials without it.
    results = searched(results) if by == "study" else drawn(results)
    numbers = numbers_of(results.rounds, "value", value)
    numbers = np.where(has_figures(results), numbers, np.nan)
    limits = checked_levels("budgets", budgets) if budgets is not None else [np.inf]
    shares = dict.fromkeys(checked_levels("densities", densities))
    usable = (results.rounds["round"] > 0).to_numpy() & np.isfinite(numbers)
    rounds = results.rounds[usable].assign(_value=numbers[usable])
    rounds = rounds.assign(group=groups_of(results, rounds, by))
    rounds = rounds[rounds["group"].notna()]
    best_of = results.direction_of(value)
    tables = []
    for density in shares:
        for budget in dict.fromkeys(limits):
            inside = (rounds["density"] <= density * (1 + 1e-9)) & (
                rounds["train_epochs"] <= budget * (1 + 1e-9)
            )
            trials = rounds[inside].groupby(["group", "study", "seed", "trial_id"])["_value"]
            table = trials.agg([best_of, "size"]).reset_index()
            table = table.rename(columns={best_of: value, "size": "networks"})
            tables.append(table.assign(density=float(density), budget=float(budget)))
    columns = ["group", "study", "seed", "trial_id", "density", "budget", value, "networks"]
    filled = [table for table in tables if len(table)]
    together: pd.DataFrame = pd.concat(filled or tables[:1], ignore_index=True)[columns]
    return together


def groups_of(results: Results, rounds: pd.DataFrame, by: str) -> pd.Series:
    """The group of each round, as text; missing where its trial has none.

    Raises
    ------
    UsageError
        If ``by`` is neither ``"study"`` nor a column of ``results.trials``.
    """
    groups, _ = grouped_by(results, "by", by)
    of_rounds: pd.Series = rounds["trial_id"].map(groups)
    return of_rounds.astype("str")


def runs_of(by: str) -> list[str]:
    """Columns of a table of scores that tell runs apart, by which groups are paired.

    A group that is a study is paired with another study on the same seed; any other group with
    another of its own study and seed.
    """
    return ["seed"] if by == "study" else ["study", "seed"]
