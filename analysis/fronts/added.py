"""What a search added to the textbook run that it began with, on new seeds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.fronts.confirmed import needed_seeds
from analysis.reading.results import Results
from analysis.statistics.two_way import Jackknifed, jackknifed, paired_two_way


@dataclass(frozen=True)
class Added:
    """The mean gain in quality of one descent over another, over sizes that both reach.

    Parameters
    ----------
    mean, low, high
        In the unit of the quality, positive where the first is better; low and high are ends of
        the interval over seeds and examples.
    confidence
        Of the interval.
    largest, smallest
        Sizes between which it is the mean, evenly on a log scale.
    seeds, examples
        That both were judged on.
    held_back
        Whether the search did not see these examples.
    """

    mean: float
    low: float
    high: float
    confidence: float
    largest: float
    smallest: float
    seeds: int
    examples: int
    held_back: bool


def added_by(results: Results, best: str, textbook: str, confidence: float = 0.9) -> Added | None:
    """How much better one descent is than another at equal size, on the data that confirm.

    At each size stands the largest network of a descent that is no larger; its quality is that of
    the replicates. So nothing is chosen here, by whatever data.

    Parameters
    ----------
    results
        Of one study.
    best, textbook
        The two trials.
    confidence
        Of the interval.

    Returns
    -------
    Added or None
        None where fewer than two seeds ran both again, or a network diverged on one of them.
    """
    runs = {each: _runs(results, each) for each in (best, textbook)}
    seeds = sorted(set(runs[best]["seed"]) & set(runs[textbook]["seed"]))
    if len(seeds) < 2:
        return None
    courses = {each: _course(results, each, runs[each]) for each in runs}
    largest = max(course["size"].max() for course in courses.values())
    smallest = max(course["size"].min() for course in courses.values())
    if not smallest < largest:
        return None
    figures = [
        _weighted(results, runs[each], courses[each], seeds, largest, smallest)
        for each in (best, textbook)
    ]
    sign = 1.0 if results.quality.direction == "max" else -1.0
    ours, theirs = (each.signed(sign) for each in figures)
    measured = paired_two_way(ours, theirs)
    if not np.isfinite(measured.mean):
        return None
    low, high = measured.interval(confidence)
    judged = pd.concat(list(runs.values()))
    return Added(
        measured.mean, low, high, confidence, float(largest), float(smallest), len(seeds),
        int(judged["examples"].min()), bool(judged["held_back"].all()),
    )  # fmt: skip


def _runs(results: Results, trial_id: str) -> pd.DataFrame:
    """The rounds of a trial's replicates that enough seeds have, a seed once."""
    found = results.confirmation
    own = found[found["replicate_of"] == trial_id]
    own = own.drop_duplicates(["seed", "round"], keep="last")
    # As deep as enough seeds went: one that was run again for a round or two cuts nothing short.
    depths = own.groupby("seed")["round"].max().sort_values(ascending=False)
    if depths.empty:
        return own
    needed = needed_seeds(results, int(own["examples"].min()))
    depth = int(depths.iloc[min(needed, len(depths)) - 1])
    deep = depths.index[depths >= depth]
    return own[own["seed"].isin(deep) & (own["round"] <= depth)]


def _course(results: Results, trial_id: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Sizes of a trial's rounds, of those that were run again."""
    rounds = results.rounds[results.rounds["trial_id"] == trial_id]
    rounds = rounds[
        (rounds["round"] <= runs["round"].max()) & np.isfinite(rounds[results.quality.column])
    ]
    return pd.DataFrame(
        {
            "round": rounds["round"].to_numpy(),
            "size": rounds[results.size].to_numpy(dtype=np.float64),
        }
    ).sort_values("size", ascending=False, ignore_index=True)


def weights_of(sizes: np.ndarray, largest: float, smallest: float) -> np.ndarray:
    """Share of the sizes, on a log scale, for which each network of a descent stands.

    At a size it is the largest that is no larger.

    Parameters
    ----------
    sizes
        Of the networks, shape (n,).
    largest, smallest
        Ends of the range.
    """
    weights = np.zeros(len(sizes))
    edges = np.unique(np.clip(np.append(sizes, [largest, smallest]), smallest, largest))
    for low, high in itertools.pairwise(edges):
        fits = np.where(sizes <= low * (1 + 1e-9), sizes, -np.inf)
        weights[int(fits.argmax())] += np.log(high / low)
    total: np.ndarray = weights / np.log(largest / smallest)
    return total


def _weighted(
    results: Results,
    runs: pd.DataFrame,
    course: pd.DataFrame,
    seeds: list[int],
    largest: float,
    smallest: float,
) -> Jackknifed:
    """Mean quality over the sizes for each seed, and the same without each part of the examples."""
    quality = results.quality
    weights = weights_of(course["size"].to_numpy(), largest, smallest)
    every = [
        jackknifed(
            runs[runs["seed"] == seed].set_index("round").loc[course["round"]],
            quality.confirm_column,
            quality.name,
        )
        for seed in seeds
    ]
    return Jackknifed(
        np.array([weights @ each.whole for each in every]),
        np.array([weights @ each.without for each in every]),
        every[0].examples,
        every[0].groups,
    )
