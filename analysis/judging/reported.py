"""The networks that a report names, and that are worth measuring again."""

from __future__ import annotations

import pandas as pd

from analysis.fronts.choosing import operating_points, smallest_within
from analysis.reading.results import Results

Network = tuple[str, int]
"""A trial and one of its rounds."""


def headline_networks(results: Results) -> list[Network]:
    """The smallest networks within each tolerance of dense, each once."""
    found = smallest_within(results).dropna(subset=["trial_id", "round"])
    return _networks(found)


def reported_networks(results: Results) -> list[Network]:
    """Every network that the report names: the headline's, then the operating points'."""
    points = operating_points(results).dropna(subset=["trial_id", "round"])
    return list(dict.fromkeys([*headline_networks(results), *_networks(points)]))


def _networks(rows: pd.DataFrame) -> list[Network]:
    pairs = zip(rows["trial_id"], rows["round"], strict=True)
    return list(dict.fromkeys((str(trial), int(round_)) for trial, round_ in pairs))
