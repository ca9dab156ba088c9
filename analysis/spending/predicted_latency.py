"""What a table of layers predicts, and what a clock says."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.results import Results
from analysis.spending.latency import measured_latency
from analysis.style import axes_or_new, dots, entitle, legend, say, tidy


def predicted_latency(results: Results) -> pd.DataFrame:
    """Every pruned network whose latency was predicted, and measured.

    Both are shares of the dense network's, measured in turns with each: so what disturbs the
    machine for a while is no error of the prediction.

    Returns
    -------
    DataFrame
        study, trial_id, round, predicted_latency_ms, latency_ms, dense_latency_ms, predicted_share
        (predicted_latency_ms over what was predicted of the dense network of the same trial),
        measured_share (latency_ms over dense_latency_ms), and error (predicted_share over
        measured_share, less 1), by measured_share.
    """
    table = measured_latency(results).dropna(subset=["predicted_latency_ms"])
    rounds = results.rounds
    dense = rounds[rounds["round"] == 0].set_index(["study", "trial_id"])["predicted_latency_ms"]
    keys = pd.MultiIndex.from_frame(table[["study", "trial_id"]])
    predicted = table["predicted_latency_ms"] / dense.reindex(keys).to_numpy()
    measured = table["latency_ms"] / table["dense_latency_ms"]
    found = table[
        ["study", "trial_id", "round", "predicted_latency_ms", "latency_ms", "dense_latency_ms"]
    ].assign(predicted_share=predicted, measured_share=measured, error=predicted / measured - 1.0)
    return found.sort_values("measured_share", ignore_index=True)


def plot_predicted_latency(results: Results, ax: Axes | None = None) -> Axes:
    """Draw measured against predicted latency, as shares of the dense network's.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ax
        Where to draw; a new figure if unset.
    """
    ax = axes_or_new(ax)
    table = predicted_latency(results)
    if table.empty:
        return say(ax, "no latency was predicted")
    tidy(ax)
    dots(ax, table["predicted_share"], table["measured_share"])
    both = table[["predicted_share", "measured_share"]]
    ends = [float(both.min().min()), float(both.max().max())]
    ax.plot(ends, ends, color="0.5", linewidth=1, linestyle="--", label="as predicted")
    ax.xaxis.set_major_formatter("{x:.2f}")
    ax.yaxis.set_major_formatter("{x:.2f}")
    ax.set(xlabel="predicted latency (share of dense)", ylabel="measured latency (share of dense)")
    entitle(ax, f"{len(table):,} networks, by the times of their layers")
    legend(ax)
    return ax
