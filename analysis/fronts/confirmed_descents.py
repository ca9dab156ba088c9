"""How far each descent that was run again falls below dense, with its bound."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from analysis.fronts.confirmed import confirmed_networks, tolerances_of
from analysis.reading.results import Results
from analysis.style import (
    LOG_AXES,
    axes_or_new,
    entitle,
    label,
    legend,
    log_axis,
    looks,
    plain,
    say,
    tidy,
)
from study.telling import scale


def plot_confirmation(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the drop of every network that was run again on new seeds, and what it is at most.

    A line is a descent, from its first round to the last that was run again: the mean drop against
    dense of the same seed, over seeds and examples, and above it, dotted, the upper bound that
    names a network. Grey lines are the tolerances.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    ax
        Where to draw; a new figure if unset.
    """
    table, quality, size = confirmed_networks(results), results.quality, results.size
    shown = table[np.isfinite(table["drop_bound"].astype("float64"))]
    ax = axes_or_new(ax)
    if shown.empty:
        return say(ax, "no network was run again on new seeds")
    tidy(ax)
    unit = 100.0 if quality.unit == "share" else 1.0
    styles = looks(shown["trial_id"])
    for trial_id, own in shown.groupby("trial_id", sort=True):
        own, style = own.sort_values(size), styles[str(trial_id)]
        ax.plot(
            own[size], unit * own[quality.drop_column], color=style.colour, marker=style.marker,
            markersize=4, linestyle=style.line,
            label=f"trial {plain(str(trial_id))} ({int(own['n'].max())} seeds)",
        )  # fmt: skip
        ax.plot(own[size], unit * own["drop_bound"], color=style.colour, linestyle=":", linewidth=1)
    ax.plot([], [], color="#555555", linestyle=":", linewidth=1, label="upper bound of each")
    dense = shown[f"dense_{quality.name}"].mean()
    parts = results.parts.values() or [results]
    for tolerance in sorted({level for part in parts for level in tolerances_of(part)}):
        at = unit * tolerance * scale(quality, dense)
        ax.axhline(at, color="#999999", linewidth=0.8, zorder=1)
    if size in LOG_AXES:
        log_axis(ax)
    ax.invert_xaxis()
    points = " (points)" if quality.unit == "share" else ""
    name = quality.name.replace("_", " ")
    change = "lost against" if quality.direction == "max" else "above"
    ax.set(xlabel=label(size), ylabel=f"{name} {change} dense{points}")
    examples = int(shown["examples"].min())
    confidence = float(shown["own_confidence"].iloc[0])
    entitle(ax, f"on new seeds and {examples:,} examples; bounds at {confidence:.0%}")
    legend(ax, loc="upper left")
    return ax
