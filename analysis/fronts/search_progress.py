"""What the budget bought: hypervolume as the search went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from matplotlib.axes import Axes

from analysis.fronts.hypervolumes import hypervolume_history
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.style import MANY, axes_or_new, counted, entitle, label, legend, looks, say, tidy
from study.errors import unknown_name

BUDGETS = ("networks", "train_epochs", "train_samples", "wall_s", "elapsed_s")


def plot_hypervolume(
    results: Results,
    objectives: Objectives | None = None,
    x: Literal["networks", "train_epochs", "train_samples", "wall_s", "elapsed_s"] = "train_epochs",
    reference: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the hypervolume of all networks found so far; the title states the reference.

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
    history = hypervolume_history(results, objectives, reference)
    ax = axes_or_new(ax)
    if history.empty or history["hypervolume"].max() == 0:
        return say(ax, "no network is better than the reference")
    tidy(ax)
    styles = looks(history["study"].unique())
    for name, line in history.groupby("study", sort=False):
        style = styles[str(name)]
        # The mark is for the step of a single network, which has no length.
        ax.step(
            line[x], line["hypervolume"], where="post", color=style.colour, linestyle=style.line,
            marker=style.marker, markevery=[len(line) - 1], markersize=5,
            label=f"{name} ({counted(int(line['networks'].max()), 'network')})",
            rasterized=len(history) > MANY,
        )  # fmt: skip
    names = {
        "wall_s": "time, summed over trials (s)",
        "train_epochs": "epochs trained by the study",
    }
    ax.set(xlabel=names.get(x, label(x)), ylabel="hypervolume")
    corner = ", ".join(f"{name} {value:g}" for name, value in history.attrs["reference"].items())
    entitle(ax, f"reference: {corner}")
    legend(ax)
    return ax
