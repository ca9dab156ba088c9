"""Learning curves by round: the course of each trial from dense to its last round."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.reading.objectives import numbers_of
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.statistics.grouping import grouped_by, groups_for_a_legend
from analysis.style import (
    LOG_AXES,
    axes_or_new,
    counted,
    entitle,
    label,
    legend,
    log_axis,
    looks,
    plain,
    say,
    tidy,
)

MOST_LINES = 80
"""Trials drawn one by one; of more, the middle and the spread of each group."""

_BINS = 24


def rounds_data(
    results: Results, y: str | None = None, *, x: str = "density", hue: str = "retrain"
) -> pd.DataFrame:
    """Every round of every trial, with the plan's way.

    Returns
    -------
    DataFrame
        study, trial_id, round, density, train_epochs, ``x``, ``y``, retrain, schedule, ``hue``;
        ordered by trial and round.

    Raises
    ------
    UsageError
        If ``x`` or ``y`` is no column of numbers, or ``hue`` no column.
    """
    y = results.quality.column if y is None else y
    for field, column in (("x", x), ("y", y)):
        numbers_of(results.rounds, field, column)
    grouped_by(results, "hue", hue)  # refuses what is no column
    names = ["study", "trial_id", "round", "density", "train_epochs", x, y]
    points = results.rounds[list(dict.fromkeys(names))].copy()
    how = results.trials.drop_duplicates("trial_id").set_index("trial_id")
    for column in dict.fromkeys(("retrain", "schedule", hue)):
        if column not in points:
            points[column] = points["trial_id"].map(how[column]).astype("str")
    return points.sort_values(["trial_id", "round"], ignore_index=True, kind="stable")


def rounds_summary(points: pd.DataFrame, x: str, y: str, hue: str) -> pd.DataFrame:
    """Median and 10 and 90 % quantiles of ``y`` in bins of ``x``, for each group.

    Returns
    -------
    DataFrame
        ``hue``, ``x`` (the bin's middle), median, low, high, n.
    """
    values = points[x].to_numpy(dtype=np.float64)
    unique = np.unique(values[np.isfinite(values)])
    if len(unique) <= _BINS:
        middle = values
    else:
        logarithmic = x in LOG_AXES and unique[0] > 0
        edges = (np.geomspace if logarithmic else np.linspace)(unique[0], unique[-1], _BINS + 1)
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _BINS - 1)
        middles = np.sqrt(edges[1:] * edges[:-1]) if logarithmic else (edges[1:] + edges[:-1]) / 2
        middle = middles[place]
    groups = points.assign(**{x: middle}).groupby([hue, x], sort=True)[y]
    table = groups.quantile(np.array([0.1, 0.5, 0.9])).unstack()
    table.columns = pd.Index(["low", "median", "high"])
    return table.assign(n=groups.count()).reset_index()


def plot_rounds(
    results: Results,
    x: str = "density",
    y: str | None = None,
    hue: str = "retrain",
    ax: Axes | None = None,
) -> Axes:
    """Draw the course of every trial, a line from its dense round to its last.

    Beyond 80 trials the lines would hide each other, and medians with the range of the middle
    80 % are drawn instead.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    x
        ``"density"``, ``"round"``, ``"train_epochs"`` or another column of ``results.rounds``.
    y
        Any numeric column of ``results.rounds``; unset: the study's quality.
    hue
        What the lines are told apart by: a column of ``results.trials`` or ``"study"``. Of
        numbers with many values, quarters of the trials are; of many names, the most frequent.
    ax
        Where to draw; a new figure if unset.

    Raises
    ------
    UsageError
        If a column does not exist, or ``x`` or ``y`` holds no numbers; or if the studies have
        different tasks, and are not told apart by ``hue="study"``.
    """
    if hue != "study":
        need_one_task(results, "a course over studies", "Tell them apart with hue='study'.")
    y = results.quality.column if y is None else y
    points = rounds_data(results, y, x=x, hue=hue)
    usable = points[np.isfinite(points[[x, y]].to_numpy(dtype=np.float64)).all(axis=1)]
    ax = axes_or_new(ax)
    if usable.empty:
        return say(ax, f"no round has a {label(y)}")
    tidy(ax)
    groups, names = groups_for_a_legend(results, hue)
    usable = usable.assign(group=usable["trial_id"].map(groups))
    trials = usable["trial_id"].nunique()
    counts = usable.groupby("group")["trial_id"].nunique()
    styles = looks(names)
    few = trials <= MOST_LINES
    summary = None if few else rounds_summary(usable, x, y, "group")
    handles = []
    for name in [name for name in names if name in counts]:
        look = styles[name]
        if summary is None:
            group = usable[usable["group"] == name]
            lines = [trial[[x, y]].to_numpy() for _, trial in group.groupby("trial_id")]
            alpha = 0.75 if trials <= 60 else 0.4
            ax.add_collection(
                LineCollection(
                    lines, colors=look.colour, linestyles=look.line, linewidths=0.9, alpha=alpha
                )
            )
            ax.scatter(group[x], group[y], color=look.colour, marker=look.marker, s=9, alpha=alpha)
        else:
            group = summary[summary["group"] == name]
            ax.fill_between(
                group[x], group["low"], group["high"], color=look.colour, alpha=0.15, linewidth=0
            )
            ax.plot(group[x], group["median"], color=look.colour, marker=look.marker,
                    linestyle=look.line, markersize=4)  # fmt: skip
        handles.append(
            Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.line,
                   markersize=4, label=f"{plain(name)} ({counted(counts[name], 'trial')})")
        )  # fmt: skip
    ax.autoscale_view()
    if x in LOG_AXES and (usable[x] > 0).all():
        log_axis(ax)
    if x == "density":
        ax.invert_xaxis()
    elif x == "round":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel=label(x), ylabel=label(y))
    shown = "each line a trial from dense to its end" if few else "median and middle 80 %"
    entitle(ax, f"{shown} (n = {counted(trials, 'trial')})")
    legend(ax, handles=handles, title=None if hue == "retrain" else label(hue))
    return ax
