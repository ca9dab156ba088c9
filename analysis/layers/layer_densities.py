"""Which layers can take it: what the networks on the front keep of each layer."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.fronts.study_front import study_front
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.style import axes_or_new, entitle, say, short

MOST_POINTS = 12
"""Networks shown; of more, these many spread over the front."""

MOST_NUMBERS = 30
"""Layers up to which each cell has its number."""


def front_layers(results: Results, objectives: Objectives | None = None) -> pd.DataFrame:
    """Every layer of every pruned network on the front.

    Returns
    -------
    DataFrame
        The rows of ``results.layers``, with ``total_density`` and the objectives of the network.
    """
    objectives = results.objectives if objectives is None else objectives
    front = study_front(results, objectives)
    front = front[front["round"] > 0]
    columns = [name for name in objectives if name != "density"]
    keys = front[["trial_id", "round", "density", *columns]]
    layers = results.layers[results.layers["trial_id"].isin(keys["trial_id"])]
    return layers.merge(keys.rename(columns={"density": "total_density"}), on=["trial_id", "round"])


def layer_density_data(
    results: Results,
    objectives: Objectives | None = None,
    most_points: int = MOST_POINTS,
) -> pd.DataFrame:
    """Density of each layer (row, in the network's order) in networks on the front (columns).

    A column is named by the network's total density; the densest comes first. Of more than
    ``most_points`` networks, so many are taken, spread evenly over the front.
    """
    layers = front_layers(results, objectives)
    order = layers["layer"].drop_duplicates()
    table = layers.pivot_table(index="layer", columns="total_density", values="density")
    table = table.reindex(index=order, columns=sorted(table.columns, reverse=True))
    if len(table.columns) > most_points:
        step = (len(table.columns) - 1) / (most_points - 1)
        table = table.iloc[:, [round(number * step) for number in range(most_points)]]
    return table


def plot_layer_densities(
    results: Results, objectives: Objectives | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what the networks on the front keep of each layer.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objectives
        What the front is a front of; unset: what the study optimises.
    ax
        Where to draw; a new figure if unset.
    """
    table = layer_density_data(results, objectives)
    rows = max(len(table), 1)
    ax = axes_or_new(ax, height=min(1.6 + 0.32 * rows, 14.0))
    if table.empty:
        return say(ax, "no pruned network is on the front")
    drawn = table.set_axis([f"{100 * density:.3g} %" for density in table.columns], axis=1)
    drawn = drawn.set_axis([short(str(name)) for name in table.index], axis=0)
    sns.heatmap(
        drawn, ax=ax, cmap="cividis", vmin=0, annot=rows <= MOST_NUMBERS, fmt=".2f",
        annot_kws={"fontsize": 7}, cbar_kws={"label": "density of the layer"},
        yticklabels="auto", rasterized=table.size > 2000,
    )  # fmt: skip
    ax.set(xlabel="networks on the front, by total density", ylabel="")
    networks = front_layers(results, objectives)[["trial_id", "round"]].drop_duplicates()
    shown, every = len(table.columns), len(networks)
    entitle(ax, f"{every} networks on the front" + (f", {shown} shown" if shown < every else ""))
    ax.tick_params(axis="y", labelsize=8, rotation=0)
    ax.tick_params(axis="x", labelsize=8, rotation=90 if len(table.columns) > 8 else 0)
    return ax
