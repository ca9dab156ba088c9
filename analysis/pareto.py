"""The trade-off front: the points that no other point beats in every objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import moocore
import numpy as np
import pandas as pd

from study.errors import unknown_name

Objectives = Mapping[str, Literal["max", "min"]]

DEFAULT_OBJECTIVES: Objectives = {"val_accuracy": "max", "density": "min"}


def costs(points: pd.DataFrame, objectives: Objectives) -> np.ndarray:
    """Objectives as float64 columns of which less is better, shape (n, objectives).

    Raises
    ------
    UsageError
        If a column does not exist.
    """
    for name in objectives:
        if name not in points.columns:
            raise unknown_name("objective", name, points.columns)
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    values: np.ndarray = points[list(objectives)].to_numpy(dtype=np.float64) * signs
    return values


def pareto_front(points: pd.DataFrame, objectives: Objectives = DEFAULT_OBJECTIVES) -> pd.DataFrame:
    """Rows that no other row dominates, in the order of the first objective.

    A row dominates another when it is no worse in any objective and better in one. Of rows that
    are equal in all objectives the first stays. Rows with NaN or infinity in an objective never
    reach the front.

    Parameters
    ----------
    points
        For example ``results.rounds``.
    objectives
        Columns and their directions, any number of them.

    Returns
    -------
    DataFrame
        The rows with their index, best in the first objective first.

    Raises
    ------
    UsageError
        If a column does not exist.
    """
    values = costs(points, objectives)
    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(usable):
        return points.iloc[:0]
    chosen = usable[moocore.is_nondominated(values[usable], keep_weakly=False)]
    order = np.lexsort(values[chosen].T[::-1])
    front: pd.DataFrame = points.iloc[chosen[order]]
    return front
