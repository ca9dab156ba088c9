"""What each group of trials reaches on each seed, at equal density and equal budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.reading.candidates import has_figures
from analysis.reading.objectives import numbers_of
from analysis.reading.results import Results
from analysis.statistics.grouping import grouped_by
from analysis.statistics.levels import checked_levels
from analysis.statistics.replicates import searched
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
        group, study, seed, density, budget (inf without a limit), ``value``, networks (how many
        were in the choice: the best of more is better by luck alone). Diverged networks are left
        out. Groups that reach no such
        network have no row there.

    Raises
    ------
    UsageError
        If ``by`` is no column, ``value`` is on test data or holds no numbers, or a level is NaN
        or not above 0.
    """
    value = results.quality.column if value is None else value
    if str(value).startswith("test"):
        raise UsageError(f"value: {value!r} is on test data, which must not choose networks")
    results = searched(results)
    numbers = numbers_of(results.rounds, "value", value)
    numbers = np.where(has_figures(results), numbers, np.nan)
    limits = checked_levels("budgets", budgets) if budgets is not None else [np.inf]
    shares = dict.fromkeys(checked_levels("densities", densities))
    usable = (results.rounds["round"] > 0).to_numpy() & np.isfinite(numbers)
    rounds = results.rounds[usable].assign(**{value: numbers[usable]})
    rounds = rounds.assign(group=groups_of(results, rounds, by))
    rounds = rounds[rounds["group"].notna()]
    best_of = results.direction_of(value)
    tables = []
    for density in shares:
        for budget in limits:
            inside = (rounds["density"] <= density * (1 + 1e-9)) & (
                rounds["train_epochs"] <= budget * (1 + 1e-9)
            )
            best = rounds[inside].groupby(["group", "study", "seed"])[value].agg([best_of, "size"])
            table = best.reset_index().rename(columns={best_of: "best", "size": "networks"})
            tables.append(table.assign(density=float(density), budget=float(budget)))
    columns = ["group", "study", "seed", "density", "budget", "best", "networks"]
    filled = [table for table in tables if len(table)]
    if not filled:
        empty = pd.DataFrame({name: pd.Series(dtype="float64") for name in columns})
        return empty.astype({"group": "str", "study": "str"}).rename(columns={"best": value})
    together: pd.DataFrame = pd.concat(filled, ignore_index=True)[columns]
    return together.rename(columns={"best": value})


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
