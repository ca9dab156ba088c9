"""What the budget bought: hypervolume as the search went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from matplotlib.axes import Axes

from analysis.fronts.hypervolumes import history_in
from analysis.fronts.volumes import span_text, volume_of
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.style import (
    MANY,
    axes_or_new,
    counted,
    entitle,
    label,
    legend,
    looks,
    plain,
    say,
    tidy,
)
from study.errors import unknown_name

BUDGETS = ("networks", "train_epochs", "train_samples", "wall_s", "elapsed_s")


def plot_hypervolume(
    results: Results,
    objectives: Objectives | None = None,
    x: Literal["networks", "train_epochs", "train_samples", "wall_s", "elapsed_s"] = "train_epochs",
    reference: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the hypervolume of all networks found so far; the title states its box.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned; each study has a line.
    objectives
        Columns of ``results.rounds`` and their directions; unset: those of the study.
    x
        The budget: a column of :func:`analysis.hypervolume_history`.
    reference
        A value for each objective; unset: as in :func:`analysis.hypervolume_history`.
    ax
        Where to draw; a new figure if unset.

    Raises
    ------
    UsageError
        If ``x`` is no budget, an objective is no column, or the reference is not finite.
    """
    if x not in BUDGETS:
        raise unknown_name("x", str(x), BUDGETS)
    volume = volume_of(results, objectives, reference)
    history = history_in(results, volume)
    ax = axes_or_new(ax)
    if history.empty or history["hypervolume"].max() == 0:
        return say(ax, f"no network counts\n{span_text(volume, results)}")
    tidy(ax)
    styles = looks(history["study"].unique())
    for name, line in history.groupby("study", sort=False):
        style = styles[str(name)]
        # The mark is for the step of a single network, which has no length.
        ax.step(
            line[x], line["hypervolume"], where="post", color=style.colour, linestyle=style.line,
            marker=style.marker, markevery=[len(line) - 1], markersize=5,
            label=f"{plain(str(name))} ({counted(int(line['networks'].max()), 'network')})",
            rasterized=len(history) > MANY,
        )  # fmt: skip
    names = {
        "wall_s": "time, summed over trials (s)",
        "train_epochs": "epochs trained by the study",
    }
    ax.set(xlabel=names.get(x, label(x)), ylabel="hypervolume (share of the whole)")
    entitle(ax, span_text(volume, results))
    legend(ax)
    return ax
