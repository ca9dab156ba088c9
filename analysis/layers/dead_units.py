"""Collapse: output units, and whole layers, that pruning left without a weight."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.results import Results
from analysis.style import MANY, axes_or_new, entitle, legend, log_axis, look, say, short, tidy

MOST_LAYERS = 7


def unit_deaths(results: Results) -> pd.DataFrame:
    """Dead output units of every layer of every pruned network.

    Returns
    -------
    DataFrame
        study, trial_id, round, layer, density, dead_outputs, outputs, dead_share (of the
        layer's outputs), collapsed (True where the layer keeps no weight at all).
    """
    layers = results.layers[results.layers["round"] > 0]
    table = layers[["study", "trial_id", "round", "layer", "density", "dead_outputs", "outputs"]]
    share = table["dead_outputs"] / table["outputs"].where(table["outputs"] > 0)
    return table.assign(dead_share=share, collapsed=layers["kept"] == 0).reset_index(drop=True)


def dead_units_summary(results: Results) -> pd.DataFrame:
    """For each layer: where units begin to die, and how often the layer collapsed.

    Returns
    -------
    DataFrame
        layer, networks, collapsed (networks in which the layer keeps no weight), with_dead
        (networks in which some unit is dead), densest_with_dead (the layer's density in the
        densest of these, NaN where there is none), most_dead_share.
    """
    table = unit_deaths(results)
    table["_density"] = table["density"].where(table["dead_outputs"] > 0)
    table["_has"] = table["dead_outputs"] > 0
    return table.groupby("layer", sort=False, as_index=False).agg(
        networks=("density", "size"),
        collapsed=("collapsed", "sum"),
        with_dead=("_has", "sum"),
        densest_with_dead=("_density", "max"),
        most_dead_share=("dead_share", "max"),
    )


def plot_dead_units(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the share of dead output units against the density of the layer.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ax
        Where to draw; a new figure if unset.
    """
    table = unit_deaths(results)
    table = table[(table["density"] > 0) & table["dead_share"].notna()]
    ax = axes_or_new(ax)
    if table.empty:
        return say(ax, "there is no pruned network")
    worst = table.groupby("layer")["dead_share"].max().sort_values(ascending=False, kind="stable")
    if worst.iloc[0] == 0:
        return say(ax, f"no output unit is dead in any of {len(table):,} pruned layers")
    tidy(ax)
    shown = [str(name) for name in worst.index[:MOST_LAYERS]]
    for number, name in enumerate(shown):
        style, group = look(number), table[table["layer"] == name]
        ax.scatter(group["density"], 100 * group["dead_share"], s=14, alpha=0.6, linewidths=0,
                   color=style.colour, marker=style.marker, label=short(name),
                   rasterized=len(table) > MANY)  # fmt: skip
    log_axis(ax)
    ax.invert_xaxis()
    networks = len(table.drop_duplicates(["trial_id", "round"]))
    rest = len(worst) - len(shown)
    more = f", {rest} layers with less not drawn" if rest else ""
    ax.set(xlabel="density of the layer", ylabel="dead output units (%)")
    entitle(ax, f"{networks:,} pruned networks{more}")
    legend(ax)
    return ax
