"""What multiply-adds promise, and what a clock says."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.candidates import has_figures
from analysis.reading.results import Results
from analysis.style import axes_or_new, dots, entitle, legend, say, tidy


def clock_of(results: Results) -> dict[str, Any]:
    """How the latencies of a study were measured: backend, batch_size and threads."""
    return {"backend": "none", "batch_size": 1, "threads": 1, **results.config.get("latency", {})}


def measured_latency(results: Results) -> pd.DataFrame:
    """Every pruned network whose latency was measured.

    Returns
    -------
    DataFrame
        study, trial_id, round, the quality, density, theoretical_speedup, latency_ms,
        latency_spread_ms, dense_latency_ms, predicted_latency_ms, speedup_measured, and
        share_of_promise (speedup_measured over theoretical_speedup), the fastest first.
    """
    rounds = results.rounds[has_figures(results) & (results.rounds["round"] > 0)]
    columns = [
        "study", "trial_id", "round", results.quality.column, "density", "theoretical_speedup",
        "latency_ms", "latency_spread_ms", "dense_latency_ms", "predicted_latency_ms",
        "speedup_measured",
    ]  # fmt: skip
    table = rounds[columns].dropna(subset=["latency_ms"])
    share = table["speedup_measured"] / table["theoretical_speedup"]
    return table.assign(share_of_promise=share).sort_values("latency_ms", ignore_index=True)


def plot_latency(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the speedup that was measured against that of multiply-adds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ax
        Where to draw; a new figure if unset.
    """
    ax = axes_or_new(ax)
    table = measured_latency(results)
    if table.empty:
        return say(ax, "no latency was measured")
    tidy(ax)
    dots(ax, table["theoretical_speedup"], table["speedup_measured"])
    most = float(table["theoretical_speedup"].max())
    ax.plot([1.0, most], [1.0, most], color="0.5", linewidth=1, linestyle="--",
            label="as multiply-adds promise")  # fmt: skip
    ax.axhline(1.0, color="0.7", linewidth=1, label="as fast as dense")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g} x")
    ax.yaxis.set_major_formatter("{x:g} x")
    ax.set(xlabel="dense / remaining multiply-adds", ylabel="measured speedup")
    entitle(ax, f"{len(table):,} networks without what is dead in them")
    legend(ax)
    return ax
