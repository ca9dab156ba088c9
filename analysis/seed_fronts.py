"""How sure the front is: the fronts of the seeds, and what half of them attain."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from analysis.attainment import attainment_surfaces
from analysis.objectives import DEFAULT_OBJECTIVES, Objectives
from analysis.results import Results
from analysis.style import LOG_AXES, axes_or_new, label, legend, log_axis, say, tidy
from study.errors import UsageError

_NAMES = {0.0: ("best of the seeds", ":"), 0.5: ("median", "-"), 1.0: ("worst of the seeds", "--")}


def plot_attainment(
    results: Results,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    by: str = "seed",
    ax: Axes | None = None,
) -> Axes:
    """Draw the fronts that one, half and all of the seeds attain.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Two columns of ``results.rounds`` and their directions; the first is drawn upwards.
    by
        The column that tells the runs apart: ``"seed"`` or ``"study"``.
    ax
        Where to draw; a new figure if unset.

    Raises
    ------
    UsageError
        If there are not two objectives, or a column does not exist.
    """
    if len(objectives) != 2:
        raise UsageError(f"fronts of seeds are drawn in 2 objectives, not {len(objectives)}")
    y, x = objectives
    surfaces = attainment_surfaces(results.rounds, objectives, by=by)
    ax = axes_or_new(ax)
    if surfaces.empty:
        return say(ax, "no network has a value in both objectives")
    tidy(ax)
    runs = int(surfaces["runs"].iloc[0])
    for share, (name, style) in _NAMES.items():
        if runs == 1 and share != 0.5:
            continue
        line = surfaces[surfaces["share"] == share].sort_values(x)
        line = _to_the_edge(line, x, results.rounds[x], objectives[x])
        shown = name if runs > 1 else f"the front of the only {by}"
        where: Literal["post", "pre"] = "post" if objectives[x] == "min" else "pre"
        ax.step(
            line[x], line[y], where=where, color="#0072B2" if share == 0.5 else "#333333",
            linestyle=style, linewidth=1.8 if share == 0.5 else 1.0, label=shown,
        )  # fmt: skip
    if x in LOG_AXES and (surfaces[x] > 0).all():
        log_axis(ax)
    ax.set(xlabel=label(x), ylabel=label(y), title=f"attained by {runs} {by}s (n = {runs})")
    if runs == 1:
        ax.set_title(f"one {by}: nothing is known of the spread")
    legend(ax)
    return ax


def _to_the_edge(
    line: pd.DataFrame, x: str, seen: pd.Series, way: Literal["max", "min"]
) -> pd.DataFrame:
    """The surface up to the worst value seen: what is attained at one is attained beyond it."""
    worst = seen.max() if way == "min" else seen.min()
    end = line.tail(1) if way == "min" else line.head(1)
    return pd.concat([line, end.assign(**{x: worst})]).sort_values(x, kind="stable")
