"""How far the network prunes: quality against what is left of it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from analysis.fronts.study_front import study_front
from analysis.reading.candidates import has_figures
from analysis.reading.objectives import Objectives, check_objectives, costs
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.style import (
    BESIDE,
    LOG_AXES,
    MANY,
    TOO_MANY,
    Look,
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
from study.errors import UsageError

MOST_CIRCLES = 60
"""Points of the front up to which each is circled."""


def pareto_data(results: Results, objectives: Objectives | None = None) -> pd.DataFrame:
    """Every network with its trial's way of retraining, and whether it is on the front.

    Diverged networks, and rounds without a value in an objective, are left out. The front is that
    of :func:`study_front`. The dense network is one row for each study
    and seed, with ``round`` 0: all trials of a seed begin with the same. Each study has a front
    of its own.

    Returns
    -------
    DataFrame
        study, trial_id, round, seed, the objectives (unset: the quality and the size of the study,
        and the rest of what it optimises), retrain, on_front (of its study); the index
        is that of ``results.rounds``.
    """
    rounds = results.rounds
    front = study_front(results, objectives)
    shown = _drawn(results) if objectives is None else objectives
    usable = np.isfinite(costs(rounds, shown)).all(axis=1) & has_figures(results)
    dense = usable & (rounds["round"] == 0).to_numpy()
    again = np.zeros(len(rounds), dtype=bool)
    again[dense] = rounds[dense].duplicated(["study", "seed"]).to_numpy()
    kept = usable & (~again | rounds.index.isin(front.index))
    columns = ["study", "trial_id", "round", "seed", *shown]
    points: pd.DataFrame = rounds.loc[kept, list(dict.fromkeys(columns))].copy()
    how = results.trials.drop_duplicates("trial_id").set_index("trial_id")["retrain"]
    points["retrain"] = points["trial_id"].map(how).astype("str")
    points["on_front"] = points.index.isin(front.index)
    return points


def _drawn(results: Results) -> Objectives:
    """The objectives of a study, its quality and its size before all others."""
    quality = results.quality
    axes: Objectives = {quality.column: quality.direction, results.size: "min"}
    return {**axes, **results.objectives}


def plot_pareto(
    results: Results,
    objectives: Objectives | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every network of every trial, and the front, in two objectives.

    Several studies are told apart by colour, each with its own front; of one study, the ways of
    retraining are. With more than two objectives the front is that of all, drawn as marks in the
    first two.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Columns of ``results.rounds`` and their directions; the first is drawn upwards, the
        second to the right; unset: those of the study, its quality upwards, its size to the right.
    ax
        Where to draw; a new figure if unset.

    Raises
    ------
    UsageError
        If there are fewer than two objectives, a column does not exist or holds no numbers, or
        the studies have different tasks.
    """
    axes = _drawn(results) if objectives is None else objectives
    check_objectives(axes)
    if len(axes) < 2:
        raise UsageError("a trade-off needs two objectives; see plot_rounds for one")
    y, x = list(axes)[:2]
    need_one_task(results, "a trade-off of studies", "Draw each of them on axes of its own.")
    points = pareto_data(results, objectives)
    several = len(results.parts) > 1
    legend_place = BESIDE if ax is None else {}
    ax = axes_or_new(ax, width=8.0) if len(points) else axes_or_new(ax)
    if points.empty:
        return say(ax, "no network has a value in both objectives")
    tidy(ax)
    pruned = points[points["round"] > 0]
    styles = looks(points["study"].unique()) if several else {}
    _draw_cloud(ax, pruned, x, y, "study" if several else "retrain")
    _draw_dense(ax, points[points["round"] == 0], y)
    if not several:
        _draw_equal_budget(ax, results.controls, y)
    front = points[points["on_front"]].sort_values(x)
    for study, of_study in front.groupby("study", sort=True):
        look = styles.get(str(study), Look("black", "o", "-"))
        name = f"front of {study} ({len(of_study)})" if several else f"front ({len(of_study)})"
        _draw_front(ax, of_study, axes, look, name)
    if x in LOG_AXES and (points[x] > 0).all():
        log_axis(ax)
    outside = _look_at_the_front(ax, pruned, front, y, axes[y] == "max")
    ax.set(xlabel=label(x), ylabel=label(y))
    networks = f"{counted(len(pruned), 'pruned network')}{outside}"
    entitle(ax, f"{networks}, {counted(pruned['trial_id'].nunique(), 'trial')}")
    legend(ax, **legend_place)
    return ax


def _draw_front(ax: Axes, front: pd.DataFrame, axes: Objectives, look: Look, name: str) -> None:
    """A staircase in two objectives, marks in more: there the front is no line."""
    y, x = list(axes)[:2]
    line: Literal["-", "--", "-.", ":", ""] = look.line if len(axes) == 2 else ""
    if line:
        where: Literal["post", "pre"] = "post" if axes[x] == "min" else "pre"
        ax.step(
            front[x], front[y], where=where, color=look.colour, linestyle=line, linewidth=1.3,
            zorder=3,
        )  # fmt: skip
    circles = len(front) <= MOST_CIRCLES
    ax.plot(
        [], [], color=look.colour, marker=look.marker if circles else None, mfc="none",
        linestyle=line, label=plain(name),
    )  # fmt: skip
    if circles:
        ax.scatter(
            front[x], front[y], s=34, marker=look.marker, facecolors="none",
            edgecolors=look.colour, zorder=4,
        )  # fmt: skip


def _draw_cloud(ax: Axes, pruned: pd.DataFrame, x: str, y: str, hue: str) -> None:
    if len(pruned) > TOO_MANY:
        logarithmic = x in LOG_AXES and bool((pruned[x] > 0).all())
        edges = [
            (np.geomspace if logarithmic else np.linspace)(pruned[x].min(), pruned[x].max(), 160),
            np.linspace(pruned[y].min(), pruned[y].max(), 120),
        ]
        counts, *_ = np.histogram2d(pruned[x], pruned[y], bins=edges)
        mesh = ax.pcolormesh(
            *edges, np.ma.masked_equal(counts.T, 0), cmap="Blues", norm=LogNorm(), rasterized=True
        )
        figure = ax.get_figure()
        if figure is not None:
            figure.colorbar(mesh, ax=ax, label="networks")
        return
    groups = pruned.groupby(pruned[hue].fillna("unknown"), sort=True)
    styles = looks(str(name) for name in groups.groups)
    for name, group in groups:
        look = styles[str(name)]
        ax.scatter(
            group[x],
            group[y],
            s=16,
            alpha=0.6,
            color=look.colour,
            marker=look.marker,
            linewidths=0,
            label=f"{plain(str(name))} ({len(group):,})",
            rasterized=len(pruned) > MANY,
        )


def _draw_dense(ax: Axes, dense: pd.DataFrame, y: str) -> None:
    if dense.empty:
        return
    n = len(dense)
    name = f"dense ({counted(n, 'seed')}{', range' if n > 1 else ''})"
    ax.axhline(dense[y].mean(), color="#555555", linestyle="--", linewidth=1, label=name, zorder=1)
    if n > 1:
        ax.axhspan(dense[y].min(), dense[y].max(), color="#555555", alpha=0.15, linewidth=0)


def _draw_equal_budget(ax: Axes, controls: pd.DataFrame, y: str) -> None:
    """The unpruned networks that trained for as long as those that were replicated."""
    found = controls[controls["role"] == "dense"]
    if found.empty or y not in found:
        return
    name = f"dense, trained as long as pruned ({counted(len(found), 'run')})"
    ax.axhline(found[y].mean(), color="#555555", linestyle=":", linewidth=1.2, label=name, zorder=1)


def _look_at_the_front(
    ax: Axes, pruned: pd.DataFrame, front: pd.DataFrame, y: str, upwards: bool
) -> str:
    """End the axis a little beyond the worst of the front, and say how many lie outside."""
    worst, best = (front[y].min(), front[y].max()) if upwards else (front[y].max(), front[y].min())
    edge = worst - 0.4 * (best - worst)
    outside = int(((pruned[y] < edge) if upwards else (pruned[y] > edge)).sum())
    if worst == best or outside == 0:
        return ""
    if upwards:
        ax.set_ylim(bottom=edge)
        return f" ({outside:,} below)"
    ax.set_ylim(top=edge)
    return f" ({outside:,} above)"
