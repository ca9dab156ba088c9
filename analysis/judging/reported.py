"""The networks that a report names, and that are worth measuring again."""

from __future__ import annotations

import pandas as pd

from analysis.fronts.choosing import operating_points
from analysis.fronts.confirmed import named_networks
from analysis.reading.results import Results

Network = tuple[str, int]
"""A trial and one of its rounds."""


def headline_networks(results: Results) -> list[Network]:
    """The networks that were confirmed within each tolerance of dense, each once."""
    return _networks(named_networks(results))


def networks_to_test(results: Results) -> list[Network]:
    """What is read on the test split, once: every network that the report names.

    Of a confirmed one its replicates and the dense networks of their seeds, of an operating point
    that was not run again the network itself, and the dense one that it began with.
    """
    found: list[Network] = []
    again = results.confirmation
    for trial_id, round_ in headline_networks(results):
        own = again[(again["replicate_of"] == trial_id) & (again["round"] == round_)]
        for replicate in own["trial_id"]:
            found += [(str(replicate), 0), (str(replicate), round_)]
    points = _networks(operating_points(results))
    found += [(trial_id, 0) for trial_id, _ in points[:1]]
    return list(dict.fromkeys([*found, *points]))


def _networks(rows: pd.DataFrame) -> list[Network]:
    known = rows.dropna(subset=["trial_id", "round"])
    pairs = zip(known["trial_id"], known["round"], strict=True)
    return list(dict.fromkeys((str(trial), int(round_)) for trial, round_ in pairs))
