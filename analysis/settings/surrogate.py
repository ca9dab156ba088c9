"""A model of quality that the search's own networks teach, and how honest it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold

FOLDS = 5
LEAST_GROUPS = 10
"""Trials below which nothing is fitted."""

KNOWS_TOO_LITTLE = 0.2
"""R² on unseen trials below which nothing is said of single settings."""


@dataclass(frozen=True)
class Surrogate:
    """Models of the folds, each of which has not seen its own test rows.

    Parameters
    ----------
    models
        Fitted regressors.
    tested
        For each model the rows that it has not seen.
    r2
        Share of the variance that the models explain on rows they have not seen; near 0 or below
        it they know nothing, and what is derived from them means nothing.
    """

    models: tuple[Any, ...]
    tested: tuple[np.ndarray, ...]
    r2: float


def fit_surrogate(
    features: np.ndarray, target: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Surrogate | None:
    """Fit a model a fold; rows of one group are never on both sides.

    Parameters
    ----------
    features
        float64 of shape (rows, features); NaN stands for a parameter that a plan has not.
    target
        float64 of shape (rows,).
    groups
        What belongs together, such as the rounds of a trial.
    seed
        Of the models.

    Returns
    -------
    Surrogate or None
        None with fewer than ten groups, or where the target does not vary.
    """
    count = len(np.unique(groups))
    if count < LEAST_GROUPS or np.ptp(target) == 0:
        return None
    models, tested = [], []
    predicted = np.empty(len(target))
    for train, test in GroupKFold(FOLDS).split(features, target, groups):
        model = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=seed)
        model.fit(features[train], target[train])
        predicted[test] = model.predict(features[test])
        models.append(model)
        tested.append(test)
    return Surrogate(tuple(models), tuple(tested), float(r2_score(target, predicted)))


def trust(r2: float) -> str:
    """In words, how far a surrogate with this R² on unseen trials can be relied on."""
    return "" if r2 >= 0.5 else " (rough)" if r2 >= KNOWS_TOO_LITTLE else " (not to be trusted)"


def as_numbers(table: pd.DataFrame) -> np.ndarray:
    """Columns as float64: names become the rank of their mean-free code, missing ones NaN."""
    columns = []
    for name in table.columns:
        column = table[name]
        if column.dtype.kind in "fiub":
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            codes = column.astype("category").cat.codes.to_numpy().astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
    return np.column_stack(columns) if columns else np.empty((len(table), 0))
