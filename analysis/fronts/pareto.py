"""The trade-off front: the points that no other point beats in every objective."""

from __future__ import annotations

from typing import Literal

import moocore
import numpy as np
import pandas as pd

from analysis.reading.objectives import DEFAULT_OBJECTIVES, Objectives, costs
from study.errors import unknown_name

__all__ = ["DEFAULT_OBJECTIVES", "Objectives", "costs", "pareto_front"]


def pareto_front(
    points: pd.DataFrame,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    *,
    ties: Literal["first", "all"] = "first",
    by: str | None = None,
) -> pd.DataFrame:
    """Rows that no other row dominates.

    A row dominates another when it is no worse in any objective and better in at least one.
    Rows with NaN or infinity in an objective never reach the front, and dominate nothing.

    Parameters
    ----------
    points
        For example ``results.rounds``.
    objectives
        Columns and their directions, any number of them.
    ties
        Of rows that are equal in all objectives, keep the first, or all of them.
    by
        A column, such as ``"seed"`` or ``"study"``: a front of its own for each of its values.

    Returns
    -------
    DataFrame
        The rows, with their index; best in the first objective first, within each group.

    Raises
    ------
    UsageError
        If a column does not exist or holds no numbers, a direction is neither ``"max"`` nor
        ``"min"``, or ``ties`` neither ``"first"`` nor ``"all"``.

    Examples
    --------
    >>> points = pd.DataFrame({"val_accuracy": [0.9, 0.8, 0.9], "density": [0.5, 0.5, 0.6]})
    >>> pareto_front(points).index.tolist()
    [0]
    """
    values = costs(points, objectives)
    if ties not in ("first", "all"):
        raise unknown_name("ties", str(ties), ("first", "all"))
    if by is None:
        return points.iloc[_front(values, ties)]
    if not isinstance(by, str) or by not in points.columns:
        raise unknown_name("by", str(by), points.columns)
    groups = points.groupby(by, sort=True).indices
    rows = [rows[_front(values[rows], ties)] for rows in groups.values()]
    return points.iloc[np.concatenate(rows) if rows else []]


def _front(values: np.ndarray, ties: Literal["first", "all"]) -> np.ndarray:
    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(usable):
        return usable
    best = moocore.is_nondominated(values[usable], keep_weakly=ties == "all")
    chosen = usable[best]
    order: np.ndarray = chosen[np.lexsort(values[chosen].T[::-1])]
    return order
