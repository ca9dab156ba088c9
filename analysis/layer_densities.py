"""Which layers can take it: what the networks on the front keep of each layer."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.loading import Results
from analysis.pareto import DEFAULT_OBJECTIVES, Objectives, pareto_front
from analysis.style import axes_or_new

MOST_POINTS = 12
"""Networks shown; of more, these many spread over the front."""


def layer_density_data(
    results: Results, objectives: Objectives = DEFAULT_OBJECTIVES
) -> pd.DataFrame:
    """Density of each layer (row) in the networks on the front (column, densest first).

    A column is named by the network's total density.
    """
    front = pareto_front(results.rounds, objectives)
    front = front[front["round"] > 0].sort_values("density", ascending=False)
    if len(front) > MOST_POINTS:
        step = (len(front) - 1) / (MOST_POINTS - 1)
        front = front.iloc[[round(i * step) for i in range(MOST_POINTS)]]
    keys = front[["trial_id", "round", "density"]].rename(columns={"density": "total_density"})
    layers = results.layers.merge(keys, on=["trial_id", "round"])
    order = results.layers["layer"].drop_duplicates()
    table = layers.pivot_table(index="layer", columns="total_density", values="density")
    return table.reindex(index=order, columns=sorted(table.columns, reverse=True))


def plot_layer_densities(
    results: Results, objectives: Objectives = DEFAULT_OBJECTIVES, ax: Axes | None = None
) -> Axes:
    """Draw what the networks on the front keep of each layer.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        What the front is a front of.
    ax
        Where to draw; a new figure if unset.
    """
    table = layer_density_data(results, objectives)
    ax = axes_or_new(ax, height=1.6 + 0.32 * max(len(table), 1))
    if table.empty:
        ax.text(0.5, 0.5, "no pruned network is on the front", ha="center", va="center")
        ax.set_axis_off()
        return ax
    table.columns = pd.Index([f"{100 * density:.3g} %" for density in table.columns])
    sns.heatmap(
        table, ax=ax, cmap="cividis", vmin=0, vmax=1, annot=len(table) <= 30, fmt=".2f",
        annot_kws={"fontsize": 7}, cbar_kws={"label": "density of the layer"},
    )  # fmt: skip
    ax.set(xlabel="networks on the front, by total density", ylabel="", title="")
    ax.tick_params(axis="both", labelsize=8, rotation=0)
    return ax
