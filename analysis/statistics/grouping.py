"""Which group a trial is in: few groups, whatever the column holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.reading.results import Results
from study.errors import unknown_name

MOST_GROUPS = 8
"""Groups that a legend has room for, and an eye can tell apart."""

_QUARTERS = 4


def grouped_by(results: Results, field: str, column: str) -> tuple[pd.Series, list[str]]:
    """The group of each trial, by its id, and all groups in their order.

    Of numbers with more than eight values, groups are the quarters of the trials: 40 trials with
    40 sparsities of a layer are not 40 ways of pruning. A trial without a value has no group.

    Raises
    ------
    UsageError
        If the trials have no such column; ``field`` is what was named by it.
    """
    if not isinstance(column, str) or column not in results.trials.columns:
        raise unknown_name(field, str(column), results.trials.columns)
    trials = results.trials.drop_duplicates("trial_id")
    values = trials.set_index("trial_id", drop=False)[column]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        names = values.astype("str")
        return names, sorted(names.dropna().unique())
    numbers = values.astype("float64")
    known = np.sort(numbers.dropna().unique())
    if len(known) <= MOST_GROUPS:
        texts = numbers.map("{:g}".format, na_action="ignore").astype("str")
        return texts, list(dict.fromkeys(f"{number:g}" for number in known))
    edges = np.unique(numbers.quantile(np.linspace(0, 1, _QUARTERS + 1)).to_numpy())
    place = np.clip(np.searchsorted(edges, numbers, side="left") - 1, 0, len(edges) - 2)
    inside = numbers.groupby(place)
    # Named by the values that are there, so that no value seems to be in two groups.
    quarters = {
        quarter: _span(group.min(), group.max()) for quarter, group in inside if group.notna().any()
    }
    texts = pd.Series([quarters.get(each) for each in place], index=values.index, dtype="str")
    return texts.where(numbers.notna()), list(dict.fromkeys(quarters.values()))


def _span(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def groups_for_a_legend(results: Results, hue: str) -> tuple[pd.Series, list[str]]:
    """The same for a figure: of many names the rarer ones are one group, missing ones another."""
    groups, names = grouped_by(results, "hue", hue)
    if len(names) > MOST_GROUPS:
        kept = list(groups.value_counts().index[: MOST_GROUPS - 1])
        others = f"{len(names) - len(kept)} others"
        groups = groups.where(groups.isin(kept) | groups.isna(), others)
        names = [*(name for name in names if name in kept), others]
    return groups.fillna("unknown"), [*names, *(["unknown"] if groups.isna().any() else [])]
