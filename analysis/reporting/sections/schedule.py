"""Which schedule gets it there: course of the rounds, and ways of retraining compared."""

from __future__ import annotations

import pandas as pd

from analysis.comparing.comparison import compare, plot_comparison
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, as_table
from analysis.reporting.page.drawing import figure
from analysis.rounds import plot_rounds
from analysis.statistics.replicates import searched
from analysis.statistics.scoring import scores
from study.telling import Telling, percent

AXES = ("retrain", "schedule", "rewind_epoch", "allocation")
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
    results = searched(results)
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
    if not varied:
        missing.append(
            "Neither the way of retraining nor the schedule varied: give [space] several, and run "
            "again."
        )
    missing += _not_tried(results)
    for axis in varied:
        best = _best(results, axis)
        if best is None:
            continue
        if axis in ("retrain", "schedule"):
            figures.append(figure(best, plot_comparison(results, axis)))
        else:
            sentences.append(best)
        tables.append(_table(results, axis))
    few = results.rounds["seed"].nunique()
    if varied and few < 3:
        missing.append(
            f"The study has {few} seed{'' if few == 1 else 's'}, so these differences have no "
            "intervals: they may be luck. Run the same study file with other --seed values, and "
            "prune-study compare DIR DIR DIR --by retrain."
        )
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


def _best(results: Results, axis: str) -> str | None:
    """At the lowest of the levels that two groups reach, which of them is ahead."""
    table, value = scores(results, axis, densities=LEVELS), results.quality.column
    for level in sorted(LEVELS):
        at = table[table["density"] == level].groupby("group")[value].mean()
        at = at.sort_values(ascending=results.quality.direction == "max", kind="stable")
        if len(at) > 1:
            ahead, last = at.index[-1], at.index[0]
            tell = Telling(results.quality, at.iloc[0])
            tried = table[table["density"] == level].groupby("group")["networks"].sum()
            return (
                f"By {axis.replace('_', ' ')}: among networks that keep at most "
                f"{percent(level, 0)}, {ahead} is best at {tell.value(at.iloc[-1])} (the best "
                f"of {tried[ahead]}), {tell.gap(at.iloc[-1] - at.iloc[0])} "
                f"{'above' if at.iloc[-1] >= at.iloc[0] else 'below'} {last} (the best of "
                f"{tried[last]})."
            )
    return None


def _table(results: Results, axis: str) -> Table:
    """At equal density, and at equal budget: half of what the dearest network took."""
    most = float(results.rounds["train_epochs"].max())
    found = compare(results, axis, densities=LEVELS, budgets=[most / 2, most])
    columns = ["a", "b", "density", "budget", "difference", "low", "high", "n", "p_holm"]
    shown: pd.DataFrame = found[columns].rename(columns={"budget": "at most epochs"})
    caption = f"By {axis.replace('_', ' ')}, at equal density and budget: a minus b"
    return as_table(caption, shown, folded=True)
