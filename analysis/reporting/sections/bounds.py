"""What a confirmation showed, in words."""

from __future__ import annotations

import math

import pandas as pd

from analysis.reporting.page.document import count
from study.telling import Telling, percent, scale

ROUNDED = 0.001
"""To what a label is rounded up: a tenth of a point, 0.001 of a score, 0.1 % of an amount."""


def bound_label(row: pd.Series, tell: Telling) -> str:
    """What was shown: at most 1.3 points below dense (90 %, 3 seeds, 3,000 examples).

    Parameters
    ----------
    row
        Of :func:`analysis.confirmed_networks`.
    tell
        Says it in the metric's own unit.
    """
    bound = rounded_up(row["drop_bound"], tell)
    shown = f"at most {tell.gap(max(bound, 0.0))} {tell.side(1.0)} dense"
    if bound <= 0:
        shown = "no worse than dense"
    return (
        f"{shown} ({percent(row['confidence'], 0)}, {count(int(row['n']), 'seed')}, "
        f"{_judged_by(row)})"
    )


def rounded_up(bound: float, tell: Telling) -> float:
    """A bound that is printed below itself would be none."""
    step = ROUNDED * scale(tell.metric, tell.dense)
    return float(math.ceil(bound / step - 1e-9) * step) if step > 0 else bound


def _judged_by(row: pd.Series) -> str:
    """The examples, and their groups where whole ones were drawn."""
    told = count(int(row["examples"]), "example")
    return told if pd.isna(row["groups"]) else f"{told} in {count(int(row['groups']), 'group')}"
