"""How sure the front is: the fronts of the seeds, and what half of them attain."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from analysis.fronts.attainment import attainment_surfaces
from analysis.reading.candidates import is_candidate
from analysis.reading.objectives import Objectives, check_objectives
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.style import (
    LOG_AXES,
    axes_or_new,
    entitle,
    label,
    legend,
    log_axis,
    looks,
    plain,
    say,
    tidy,
)
from study.errors import UsageError, unknown_name

_NAMES = {0.0: ("best of the seeds", ":"), 0.5: ("median", "-"), 1.0: ("worst of the seeds", "--")}
_COLOURS = {0.0: "#333333", 0.5: "#0072B2", 1.0: "#333333"}


def plot_attainment(
    results: Results,
    objectives: Objectives | None = None,
    by: str = "seed",
    ax: Axes | None = None,
) -> Axes:
    """Draw the fronts that one, half and all of the seeds attain; of several studies, the medians.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Two columns of ``results.rounds`` and their directions; the first is drawn upwards;
        unset: the quality and the size of the study.
    by
        The column that tells the runs apart: ``"seed"`` or ``"study"``.
    ax
        Where to draw; a new figure if unset.

    Raises
    ------
    UsageError
        If there are not two objectives, a column does not exist, or the studies have different
        tasks.
    """
    if objectives is None:
        objectives = {results.quality.column: results.quality.direction, results.size: "min"}
    check_objectives(objectives)
    if len(objectives) != 2:
        raise UsageError(f"fronts of seeds are drawn in 2 objectives, not {len(objectives)}")
    need_one_task(results, "a front of studies", "Draw each of them on axes of its own.")
    if not isinstance(by, str) or by not in results.rounds.columns:
        raise unknown_name("by", str(by), results.rounds.columns)
    y, x = objectives
    # Runs of which no network counts attain nothing: their rows stay, without a value.
    every = results.rounds.assign(**{y: results.rounds[y].where(is_candidate(results))})
    parts = dict(iter(every.groupby("study", sort=False))) if by == "seed" else {}
    several = len(parts) > 1
    ax = axes_or_new(ax)
    where: Literal["post", "pre"] = "post" if objectives[x] == "min" else "pre"
    runs = 0
    styles = looks(str(name) for name in parts)
    for study, rounds in (parts if several else {"": every}).items():
        surfaces = attainment_surfaces(rounds, objectives, by=by)
        runs = max(runs, int(surfaces["runs"].max()) if len(surfaces) else 0)
        for share, (name, style) in _NAMES.items():
            line = surfaces[surfaces["share"] == share].sort_values(x)
            if line.empty or (share != 0.5 and (several or runs == 1)):
                continue
            alone = name if runs > 1 else f"the only {by}"
            line = _to_the_edge(line, x, rounds[x], objectives[x])
            ax.step(
                line[x],
                line[y],
                where=where,
                color=styles[str(study)].colour if several else _COLOURS[share],
                linestyle=styles[str(study)].line if several else style,
                linewidth=1.8 if share == 0.5 else 1.0,
                label=f"{plain(str(study))}, {name}" if several else alone,
            )
    if runs == 0:
        return say(ax, "no network has a value in both objectives")
    tidy(ax)
    if x in LOG_AXES and (results.rounds[x] > 0).all():
        log_axis(ax)
    ax.set(xlabel=label(x), ylabel=label(y))
    known = f"attained by {runs} {by}s"
    entitle(ax, known if runs > 1 else f"one {by}: nothing is known of the spread")
    legend(ax)
    return ax


def _to_the_edge(
    line: pd.DataFrame, x: str, seen: pd.Series, way: Literal["max", "min"]
) -> pd.DataFrame:
    """The surface up to the worst value seen: what is attained at one is attained beyond it."""
    worst = seen.max() if way == "min" else seen.min()
    end = line.tail(1) if way == "min" else line.head(1)
    return pd.concat([line, end.assign(**{x: worst})]).sort_values(x, kind="stable")
