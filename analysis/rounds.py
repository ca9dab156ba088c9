"""Which schedule gets there: the course of each trial over its rounds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.loading import Results
from analysis.style import COLOURS, LINES, MARKERS, axes_or_new, label, tidy


def rounds_data(results: Results, y: str = "val_accuracy") -> pd.DataFrame:
    """Every round of every trial: trial_id, round, density, ``y``, and the plan's way."""
    how = results.trials.set_index("trial_id")
    points = results.rounds[["trial_id", "round", "density", "train_epochs", y]].copy()
    points = points.loc[:, ~points.columns.duplicated()]
    for column in ("retrain", "schedule"):
        points[column] = points["trial_id"].map(how[column]) if len(how) else None
    return points.sort_values(["trial_id", "round"], ignore_index=True)


def plot_rounds(
    results: Results, x: str = "density", y: str = "val_accuracy", ax: Axes | None = None
) -> Axes:
    """Draw the course of every trial, a line from its dense round to its last.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    x
        ``"density"``, ``"round"`` or ``"train_epochs"``.
    y
        Any numeric column of ``results.rounds``.
    ax
        Where to draw; a new figure if unset.
    """
    points = rounds_data(results, y)
    ax = tidy(axes_or_new(ax))
    handles = []
    for number, (retrain, group) in enumerate(points.groupby("retrain", sort=True)):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        style = LINES[number % len(LINES)]
        for _, trial in group.groupby("trial_id"):
            ax.plot(
                trial[x], trial[y], color=colour, marker=marker, linestyle=style,
                markersize=3, linewidth=0.9, alpha=0.6,
            )  # fmt: skip
        trials = group["trial_id"].nunique()
        handles.append(
            Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=4,
                   label=f"{retrain} ({trials} trials)")
        )  # fmt: skip
    if x == "density":
        ax.set_xscale("log")
        ax.invert_xaxis()
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=label(x), ylabel=label(y), title="course of each trial, round by round")
    ax.legend(handles=handles, fontsize="small", frameon=False)
    return ax
