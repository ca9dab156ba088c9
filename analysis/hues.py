"""What trials are told apart by in a figure: few groups, whatever the column holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.results import Results
from study.errors import unknown_name

MOST_GROUPS = 8
"""Groups that a legend has room for, and an eye can tell apart."""

_QUARTERS = 4


def check_hue(results: Results, hue: str) -> None:
    """Refuse what is no column of the trials.

    Raises
    ------
    UsageError
        With the nearest column.
    """
    if hue not in results.trials.columns:
        raise unknown_name("hue", str(hue), results.trials.columns)


def trial_groups(results: Results, hue: str) -> tuple[pd.Series, list[str]]:
    """The group of each trial, by its id, and all groups in the order of a legend.

    Of numbers with more than eight values, groups are the quarters of the trials; of as many
    names, the rarer ones are one group.
    """
    values = results.trials.drop_duplicates("trial_id").set_index("trial_id", drop=False)[hue]
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not numeric:
        return _by_name(values.astype("str").fillna("unknown"))
    numbers = values.astype("float64")
    known = np.sort(numbers.dropna().unique())
    if len(known) <= MOST_GROUPS:
        texts = numbers.map("{:g}".format, na_action="ignore").astype("str")
        names = [f"{number:g}" for number in known]
    else:
        edges = np.unique(numbers.quantile(np.linspace(0, 1, _QUARTERS + 1)).to_numpy())
        names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
        place = np.clip(np.searchsorted(edges, numbers, side="left") - 1, 0, len(names) - 1)
        texts = pd.Series([names[each] for each in place], index=values.index, dtype="str")
    groups = texts.where(numbers.notna(), "unknown")
    return groups, [*dict.fromkeys(names), *(["unknown"] if numbers.isna().any() else [])]


def _by_name(values: pd.Series) -> tuple[pd.Series, list[str]]:
    counts = values.value_counts(sort=True)
    if len(counts) <= MOST_GROUPS:
        return values, sorted(counts.index)
    kept = list(counts.index[: MOST_GROUPS - 1])
    others = f"{len(counts) - len(kept)} others"
    return values.where(values.isin(kept), others), [*sorted(kept), others]
