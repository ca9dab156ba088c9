"""What each group of trials reaches on each seed, at equal density and equal budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.results import Results
from study.errors import UsageError, unknown_name

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def scores(
    results: Results,
    by: str = "retrain",
    *,
    densities: Sequence[float] = DENSITIES,
    budgets: Sequence[float] | None = None,
    value: str = "val_accuracy",
) -> pd.DataFrame:
    """The best of each group on each seed among networks no denser, and no dearer, than a level.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    by
        What makes a group: ``"study"``, or a column of ``results.trials`` such as
        ``"retrain"``, ``"schedule"``, ``"allocation"``, ``"saliency"`` or ``"rewind_epoch"``.
    densities
        Networks may keep at most these shares of the prunable weights.
    budgets
        Networks may have taken at most these epochs, the dense run included; unset: no limit.
    value
        A column of ``results.rounds`` in which more is better, on validation data.

    Returns
    -------
    DataFrame
        group, seed, density, budget (inf without a limit), ``value``, networks (how many were in
        the choice: the best of more is better by luck alone). Groups that reach no such network
        have no row there.

    Raises
    ------
    UsageError
        If ``by`` is no column, or ``value`` is on test data.
    """
    if value.startswith("test"):
        raise UsageError(f"value: {value!r} is on test data, which must not choose networks")
    if value not in results.rounds:
        raise unknown_name("value", value, results.rounds.columns)
    rounds = results.rounds[results.rounds["round"] > 0]
    rounds = rounds[np.isfinite(rounds[value].to_numpy(dtype=np.float64))]
    rounds = rounds.assign(group=_groups(results, rounds, by))
    rounds = rounds[rounds["group"].notna()]
    tables = []
    for density in densities:
        for budget in budgets if budgets is not None else (np.inf,):
            inside = (rounds["density"] <= density * (1 + 1e-9)) & (
                rounds["train_epochs"] <= budget * (1 + 1e-9)
            )
            best = rounds[inside].groupby(["group", "seed"])[value].agg(["max", "size"])
            table = best.reset_index().rename(columns={"max": value, "size": "networks"})
            tables.append(table.assign(density=float(density), budget=float(budget)))
    columns = ["group", "seed", "density", "budget", value, "networks"]
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame({name: pd.Series(dtype="float64") for name in columns}).astype(
            {"group": "str"}
        )
    together: pd.DataFrame = pd.concat(filled, ignore_index=True)[columns]
    return together


def _groups(results: Results, rounds: pd.DataFrame, by: str) -> pd.Series:
    if by == "study":
        return rounds["study"]
    if by not in results.trials.columns:
        raise unknown_name("by", by, results.trials.columns)
    column = results.trials.drop_duplicates("trial_id").set_index("trial_id")[by]
    groups: pd.Series = rounds["trial_id"].map(column)
    if groups.dtype.kind in "fi":
        return groups.map(lambda number: f"{number:g}", na_action="ignore").astype("str")
    return groups.astype("str")
