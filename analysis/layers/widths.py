"""How wide layers are before and after channels, neurons or heads were taken out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.layers.layer_densities import front_layers
from analysis.reading.results import Results
from analysis.style import axes_or_new, entitle, legend, look, plain, say, short, tidy

MOST_NETWORKS = 4
"""Networks shown; of more, these many spread over the front."""


def layer_widths(results: Results, most_networks: int = MOST_NETWORKS) -> pd.DataFrame:
    """Output units that are left of each layer in networks on the front.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    most_networks
        Of more networks so many are taken, spread evenly from the widest to the narrowest.

    Returns
    -------
    DataFrame
        A row for each layer, in the network's order, by its name: dense (units of the whole
        layer), then a column for each network, ``"trial 0003, round 5"``, the widest first.
    """
    layers = front_layers(results)
    if layers.empty:
        return pd.DataFrame()
    layers["width"] = layers["outputs"] - layers["dead_outputs"]
    layers["network"] = [
        f"trial {trial}, round {round_}"
        for trial, round_ in zip(layers["trial_id"], layers["round"], strict=True)
    ]
    order = layers["layer"].drop_duplicates()
    by_size = layers.groupby("network")["total_density"].first().sort_values(ascending=False)
    if len(by_size) > most_networks:
        places = np.linspace(0, len(by_size) - 1, most_networks).round().astype(int)
        by_size = by_size.iloc[places]
    table = layers.pivot_table(index="layer", columns="network", values="width")
    table = table.reindex(index=order, columns=by_size.index).astype("int64")
    table.insert(0, "dense", layers.groupby("layer")["outputs"].first().reindex(order))
    table.columns.name = None
    return table


def plot_widths(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the widths of layers, dense and in networks on the front.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ax
        Where to draw; a new figure if unset.
    """
    ax = axes_or_new(ax)
    table = layer_widths(results)
    if table.empty:
        return say(ax, "no pruned network is on the front")
    tidy(ax)
    places = np.arange(len(table))
    ax.bar(places, table["dense"], width=0.8, color="0.88", label="dense")
    for number, network in enumerate(table.columns[1:]):
        style = look(number)
        ax.plot(places, table[network], linestyle="", marker=style.marker, markersize=5,
                color=style.colour, label=plain(network))  # fmt: skip
    ax.set_xticks(places, [short(str(name)) for name in table.index], rotation=90, fontsize=7)
    ax.set(xlabel="", ylabel="output units (channels, neurons)")
    entitle(ax, "widths of the layers, dense and in networks on the front")
    legend(ax)
    return ax
