"""How far the network prunes: quality against what is left of it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.loading import Results
from analysis.pareto import DEFAULT_OBJECTIVES, Objectives, pareto_front
from analysis.style import COLOURS, MARKERS, axes_or_new, label, tidy

MANY = 5_000
"""Points beyond which the cloud is rasterised."""


def pareto_data(results: Results, objectives: Objectives = DEFAULT_OBJECTIVES) -> pd.DataFrame:
    """Every pruned round with its trial's way of retraining, and whether it is on the front.

    The dense round is one row, marked by ``round`` 0: it is the same in all trials of a seed.
    """
    rounds = results.rounds.drop_duplicates(["study", "seed", "round", "mask_hash", *objectives])
    how = results.trials.set_index("trial_id")
    points = rounds[["study", "trial_id", "round", "seed", *objectives]].copy()
    points["retrain"] = points["trial_id"].map(how["retrain"]) if len(how) else None
    points["on_front"] = points.index.isin(pareto_front(rounds, objectives).index)
    return points


def plot_pareto(
    results: Results,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    ax: Axes | None = None,
) -> Axes:
    """Draw every round of every trial, and the front, in two objectives.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        Two columns of ``results.rounds`` and their directions; the first is drawn upwards.
    ax
        Where to draw; a new figure if unset.
    """
    (y, _), (x, _) = objectives.items()
    points = pareto_data(results, objectives)
    ax = tidy(axes_or_new(ax))
    pruned = points[points["round"] > 0]
    for number, (retrain, group) in enumerate(pruned.groupby("retrain", sort=True)):
        ax.scatter(
            group[x],
            group[y],
            s=18,
            alpha=0.55,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linewidths=0,
            label=f"{retrain} ({len(group)})",
            rasterized=len(pruned) > MANY,
        )
    front = points[points["on_front"]].sort_values(x)
    ax.step(front[x], front[y], where="post", color="black", linewidth=1.3, label="front")
    dense = points[points["round"] == 0]
    if len(dense):
        ax.axhline(dense[y].mean(), color="#666666", linestyle="--", linewidth=1, label="dense")
    if x in ("density", "macs", "nonzero_parameters", "train_samples"):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=label(x), ylabel=label(y), title=f"{len(pruned)} pruned networks")
    ax.legend(fontsize="small", frameon=False)
    return ax
