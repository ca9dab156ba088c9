"""Which descent is to be run again on new seeds, so that something can be named."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.fronts.confirmed import (
    confirmed_networks,
    named_networks,
    needed_seeds,
    tolerances_of,
)
from analysis.fronts.study_front import candidates
from analysis.fronts.volumes import volume_of
from analysis.reading.candidates import dense_value, with_figures
from analysis.reading.metrics import worse_by
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from study.telling import is_tolerable

BEYOND = 2
"""Rounds past the last that is good enough on the data that chose it: luck may hide a better."""


@dataclass(frozen=True)
class Descent:
    """A trial whose rounds are to be run again, up to one of them.

    Parameters
    ----------
    trial_id
        The trial.
    first, last
        Up to which round it must be run again to be worth it, and up to which it would best be.
    seeds
        On how many new seeds.
    samples
        Training examples that one seed takes, by the round up to which it is run.
    """

    trial_id: str
    first: int
    last: int
    seeds: int
    samples: Mapping[int, int]

    def affordable(self, samples: float) -> int | None:
        """The round up to which so many examples are enough on all seeds; None: for too few."""
        rounds = range(self.first, self.last + 1)
        enough = [each for each in rounds if self.seeds * self.samples[each] <= samples]
        return max(enough, default=None)


def next_descent(
    results: Results, samples: float = math.inf, without: Collection[str] = ()
) -> Descent | None:
    """The descent to confirm next; None where all that the report waits for is confirmed.

    First the one that dominates the most volume by itself (all of its rounds speak for it, not a
    lucky one), then the textbook run, against which the search is measured, and then whichever
    holds a network that would take the place of a named one. Of a study at one size first the
    one that holds its best network, however far below dense that is, down to that network.

    Parameters
    ----------
    results
        Of one study.
    samples
        Training examples that there are for it: what is dearer is passed over.
    without
        Trials that are passed over as well.
    """
    rounds = candidates(results)
    pruned = rounds[rounds["round"] > 0]
    if pruned.empty or not np.isfinite(dense_value(results)):
        return None
    reached = _reached(results)
    for trial_id, down_to in _waiting(results, pruned, reached):
        descent = _descent(results, pruned, trial_id, down_to)
        if descent is None or trial_id in without or reached.get(trial_id, 0) >= descent.last:
            continue
        if descent.affordable(samples) is not None:
            return descent
    return None


def confirmed_samples(results: Results) -> dict[str, float]:
    """Training examples that went into the descents which are confirmed, by trial.

    One whose seeds are not all there yet is none of them: it is to be gone on with.

    Parameters
    ----------
    results
        Of one study.

    Returns
    -------
    dict
        By trial, of all of its replicates; as :attr:`Descent.samples` counts them.
    """
    seeds, trials = needed_seeds(results, _examples(results)), results.trials
    ended = trials[trials["replicate_of"].notna() & (trials["status"] == "completed")]
    charged = results.rounds.set_index(["trial_id", "round"])["train_samples"].astype("float64")
    found: dict[str, float] = {}
    for (trial_id, last), own in ended.groupby(["replicate_of", "rounds_finished"], observed=True):
        if len(own) >= seeds:
            spent = len(own) * float(charged.get((trial_id, last), 0.0))
            found[str(trial_id)] = found.get(str(trial_id), 0.0) + spent
    return found


def _waiting(
    results: Results, pruned: pd.DataFrame, reached: Mapping[str, int]
) -> Iterator[tuple[str, float | None]]:
    """Trials worth running again, the one that is worth most first, and down to which size."""
    ranked, textbook = ranked_descents(results), textbook_of(results)
    again = [each for each in ranked if each in reached]
    if not again:
        yield from ((each, None) for each in ranked)
    elif textbook is not None and textbook not in reached:
        own = pruned[(pruned["trial_id"] == again[0]) & (pruned["round"] <= reached[again[0]])]
        yield textbook, float(own[results.size].min())
    if ranked:
        yield ranked[0], None
    named = named_networks(results).set_index("tolerated_drop")[results.size]
    for tolerance in sorted(tolerances_of(results), reverse=True):
        good = pruned[_tolerable(results, pruned, tolerance) & ~pruned["trial_id"].isin(reached)]
        smaller = good[~(good[results.size] >= named[tolerance])]
        for trial_id in smaller.sort_values(results.size, kind="stable")["trial_id"].unique():
            yield str(trial_id), None


def best_descent(results: Results) -> str | None:
    """The trial that the search thinks best, see :func:`ranked_descents`."""
    return next(iter(ranked_descents(results)), None)


def ranked_descents(results: Results) -> list[str]:
    """Trials whose own rounds dominate any volume on the data of the search, the most first.

    Of a study at one size, which is after no volume: by the quality of their best network.
    """
    rounds = candidates(results)
    if results.target is not None:
        return list(best_at_target(results)["trial_id"].astype("str"))
    axes: Objectives = {results.quality.column: results.quality.direction, results.size: "min"}
    volume = volume_of(results, axes)
    volumes = {
        str(trial_id): volume.of(own[list(axes)].to_numpy(dtype=np.float64))
        for trial_id, own in rounds[rounds["round"] > 0].groupby("trial_id", sort=True)
    }
    return sorted((each for each in volumes if volumes[each] > 0), key=lambda each: -volumes[each])


def best_at_target(results: Results) -> pd.DataFrame:
    """Of a study at one size: the best network of each trial on the data of the search.

    Returns
    -------
    DataFrame
        Rows of ``results.rounds``, of networks that have the size, the best first: that one is
        what the study was run for. Of equally good ones it is the smallest.
    """
    assert results.target is not None
    rounds, quality, size = candidates(results), results.quality, results.target.column
    pruned = rounds[(rounds["round"] > 0) & rounds[quality.column].notna()]
    ranked = pruned.sort_values(
        [quality.column, size], ascending=[quality.direction == "min", True], kind="stable"
    )
    return ranked.drop_duplicates("trial_id")


def textbook_of(results: Results) -> str | None:
    """The textbook run of a study, if it finished a round."""
    trials = results.trials
    found = trials.loc[trials["is_textbook"] & (trials["rounds_finished"] > 0), "trial_id"]
    return None if found.empty else str(found.iloc[0])


def _reached(results: Results) -> dict[str, int]:
    """Up to which round each trial was run again on as many seeds as naming needs."""
    table = confirmed_networks(results)
    enough = table[table["enough"].astype(bool)]
    return {str(each): int(own["round"].max()) for each, own in enough.groupby("trial_id")}


def _tolerable(results: Results, rounds: pd.DataFrame, tolerance: float) -> Any:
    """Whether networks are good enough on the data of the search, against dense of their seed."""
    quality, every = results.quality, with_figures(results)
    of_seed = every[every["round"] == 0].groupby("seed")[quality.column].mean()
    dense = rounds["seed"].map(of_seed).astype("float64")
    drop = worse_by(quality, dense, rounds[quality.column])
    return is_tolerable(quality, drop, dense, tolerance)


def _descent(
    results: Results, pruned: pd.DataFrame, trial_id: str, down_to: float | None = None
) -> Descent | None:
    """How far a trial is worth running again: to the rounds that are good enough, and a bit on.

    None where no round of it is good enough even on the data that chose it.
    """
    own = pruned[pruned["trial_id"] == trial_id].sort_values("round")
    if results.target is not None and down_to is None:
        best = best_at_target(results).set_index("trial_id")["round"]
        return _up_to(results, own, trial_id, int(best[trial_id]), int(best[trial_id]))
    levels = tolerances_of(results)
    ends = [own.loc[_tolerable(results, own, level), "round"].max() for level in levels]
    known = [int(end) for end in ends if not np.isnan(end)]
    last = int(own["round"].max())
    if down_to is not None:
        far = own.loc[own[results.size] <= down_to, "round"]
        known = [int(far.min()) if len(far) else last]
    if not known:
        return None
    beyond = 0 if down_to is not None else BEYOND
    return _up_to(results, own, trial_id, min(known), min(max(known) + beyond, last))


def _up_to(results: Results, own: pd.DataFrame, trial_id: str, first: int, last: int) -> Descent:
    samples = own.set_index("round")["train_samples"]
    return Descent(
        trial_id,
        first,
        last,
        needed_seeds(results, _examples(results)),
        {int(str(each)): int(count) for each, count in samples.items()},
    )


def _examples(results: Results) -> int:
    """Examples by which networks are confirmed."""
    return int((results.provenance.get("examples") or {}).get("confirmation", 0))
