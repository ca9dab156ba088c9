"""Which schedule gets it there: course of the rounds, and ways of retraining compared."""

from __future__ import annotations

import pandas as pd

from analysis.comparing.comparison import compare, plot_comparison
from analysis.comparing.farthest import Farthest, farthest_groups
from analysis.judging.cross_table import aliased
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, as_table, count
from analysis.reporting.page.drawing import figure
from analysis.rounds import plot_rounds
from analysis.statistics.replicates import drawn
from study.records import MetricRecord
from study.telling import Telling, percent

LEAST_TRIALS, LEAST_SEEDS = 3, 2
"""Trials of a group, and seeds, below which groups are not ranked."""

AXES = ("retrain", "schedule", "rewind_epoch", "allocation", "structure")
"""What groups of trials are compared on, where it varied."""

LEVELS = (0.2, 0.1, 0.05)
"""Densities at which they are compared."""


def schedule(results: Results) -> Section:
    """How trials went from round to round, and which way of pruning reached most."""
    if not (results.rounds["round"] > 0).any():
        return Section(
            "schedule",
            "Which schedule gets it there?",
            missing=["No trial has finished a round of pruning yet."],
        )
    results = drawn(results)
    upwards = results.quality.direction == "max"
    sentences: list[str] = []
    figures: list[Figure] = [
        figure(
            "Each line is a trial, from the dense network to its last round: where lines of one "
            f"colour stay {'high' if upwards else 'low'} towards the right, that way of retraining "
            "holds out longest.",
            plot_rounds(results),
        )
    ]
    tables: list[Table] = []
    missing: list[str] = []
    varied = [axis for axis in AXES if _groups(results, axis) > 1]
    not_tried = _not_tried(results)
    if not varied and not not_tried:
        missing.append(
            "Neither the way of retraining nor the schedule varied: give [space] several, and run "
            "again."
        )
    missing += not_tried
    for axis in varied:
        found = _told(results, axis)
        if found is None:
            continue
        if axis in ("retrain", "schedule"):
            figures.append(figure(found, plot_comparison(results, axis)))
        else:
            sentences.append(found)
        tables.append(_table(results, axis))
    sentences += confounded(results)
    return Section(
        "schedule", "Which schedule gets it there?", sentences, figures=figures, tables=tables,
        missing=missing,
    )  # fmt: skip


def _not_tried(results: Results) -> list[str]:
    """Ways that the space holds and that no trial finished a round with."""
    trials = results.trials[results.trials["rounds_finished"] > 0]
    told = []
    for axis in ("retrain", "schedule"):
        choices = results.config.get("space", {}).get(axis)
        if isinstance(choices, list):
            absent = [str(each) for each in choices if each not in set(trials[axis])]
            if absent:
                told.append(
                    f"No trial ran {axis} {' or '.join(absent)}, which the space holds: run more "
                    "trials, or raise search.exploration."
                )
    return told


def _groups(results: Results, axis: str) -> int:
    trials = results.trials[results.trials["rounds_finished"] > 0]
    return int(trials[axis].nunique())


def _told(results: Results, axis: str) -> str | None:
    """How the best and the worst group compare, at the lowest level where both have been tried."""
    told = None
    for level in sorted(LEVELS):
        pair = farthest_groups(results, axis, level)
        told = told if pair is None else pair
        if pair is not None and min(pair.trials) >= LEAST_TRIALS:
            break
    return None if told is None else ranking_text(told, results.quality, axis)


def ranking_text(pair: Farthest, metric: MetricRecord, axis: str) -> str:
    """The two at equal luck; which is better only where that is no guess, else what to run."""
    best, worst = pair.expected
    tell = Telling(metric, worst)
    fewest, most = min(pair.k), max(pair.k)
    k = f"{most}" if fewest == most else f"{fewest} to {most}"
    of = "one trial" if most == 1 else f"the best of {k} trials"
    having = [count(trials, "trial") for trials in pair.trials]
    # The value of a number says what it is; "with 0" does not.
    first, last = (
        f"{axis.replace('_', ' ')} {name}" if name[:1].isdigit() else name for name in pair.names
    )
    intro = (
        f"By {axis.replace('_', ' ')}: among networks that keep at most "
        f"{percent(pair.density, 0)}, {of} is expected at {tell.value(best)} with "
        f"{first} (of {having[0]}) and at {tell.value(worst)} with {last} (of "
        f"{having[1]})"
    )
    few = [
        f"{name} has {has}"
        for name, has, trials in zip((first, last), having, pair.trials, strict=True)
        if trials < LEAST_TRIALS
    ]
    if few:
        return (
            f"{intro}: too few to rank, for {' and '.join(few)} with such a network. Run more "
            "trials (a larger num_samples), or raise search.exploration."
        )
    if len(pair.k) < LEAST_SEEDS:
        return (
            f"{intro}: too few to rank, for all are of one seed. Run the same study file with "
            f"other --seed values, and prune-study compare DIR DIR DIR --by {axis}."
        )
    corrected = f", corrected for {pair.pairs} pairs" if pair.pairs > 1 else ""
    spread = f"95 % interval {tell.span(pair.low, pair.high)} over {len(pair.k)} seeds{corrected}"
    if pair.low <= 0 <= pair.high:
        return (
            f"{intro}: too few to rank, for the difference may be none ({spread}). Run the same "
            "study file with further --seed values."
        )
    side = "above" if best >= worst else "below"
    return f"{intro}: {first} is {tell.gap(best - worst)} {side} {last} ({spread})."


def confounded(results: Results) -> list[str]:
    """Which settings varied together, so that their effects cannot be told apart."""
    pairs = aliased(results)
    if not pairs:
        return []
    told = [f"{pair.a} with {pair.b}" for pair in pairs]
    return [
        "These settings varied together (each value of the first came with one of the second, or "
        f"nearly so): {'; '.join(told)}. Their effects cannot be told apart, whatever is said of "
        "one of them: vary each independently of the other."
    ]


def _table(results: Results, axis: str) -> Table:
    """At equal density, and at equal budget: half of what the dearest network took."""
    most = float(results.rounds["train_epochs"].max())
    found = compare(results, axis, densities=LEVELS, budgets=[most / 2, most])
    columns = ["a", "b", "density", "budget", "difference", "low", "high", "n", "p_holm",
               "trials_a", "trials_b", "k_a"]  # fmt: skip
    shown: pd.DataFrame = found[columns].rename(columns={"budget": "at most epochs", "k_a": "k"})
    caption = (
        f"By {axis.replace('_', ' ')}, at equal density and budget: the expected best of k trials "
        "of a minus that of b; n is seeds"
    )
    return as_table(caption, shown, folded=True)
