"""The networks that a report names, and that are worth measuring again."""

from __future__ import annotations

import pandas as pd

from analysis.fronts.choosing import operating_points
from analysis.fronts.confirmed import named_networks
from analysis.judging.to_confirm import best_at_target
from analysis.reading.results import Results

Network = tuple[str, int]
"""A trial and one of its rounds."""


def headline_networks(results: Results) -> list[Network]:
    """The networks that were confirmed within each tolerance of dense, each once."""
    return _networks(named_networks(results))


def networks_to_test(results: Results) -> list[Network]:
    """What is read on the test split, once: every network that the report names.

    Of a confirmed one its replicates and the dense networks of their seeds, of an operating point
    and of a study's answer at one size the network itself, and the dense one that it began with.
    """
    found: list[Network] = []
    again = results.confirmation
    answer = _networks(best_at_target(results).head(1)) if results.target is not None else []
    for trial_id, round_ in dict.fromkeys([*answer, *headline_networks(results)]):
        own = again[(again["replicate_of"] == trial_id) & (again["round"] == round_)]
        for replicate in own["trial_id"]:
            found += [(str(replicate), 0), (str(replicate), round_)]
    points = [*answer, *_networks(operating_points(results))]
    found += [(trial_id, 0) for trial_id, _ in points[:1]]
    return list(dict.fromkeys([*found, *points]))


def _networks(rows: pd.DataFrame) -> list[Network]:
    known = rows.dropna(subset=["trial_id", "round"])
    pairs = zip(known["trial_id"], known["round"], strict=True)
    return list(dict.fromkeys((str(trial), int(round_)) for trial, round_ in pairs))
