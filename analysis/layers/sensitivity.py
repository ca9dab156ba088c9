"""Which layers can take it: what pruning one layer alone costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.reading.commands import command
from analysis.reading.results import Results
from analysis.reading.sensitivity import read_conditional
from analysis.statistics.intervals import CONFIDENCE, t_intervals
from analysis.style import axes_or_new, entitle, label, legend, look, say, short, tidy
from study.errors import UsageError, unknown_name
from study.records import MetricRecord
from study.telling import scale, tolerance_text

MOST_CURVES = 8
"""Layers with a colour of their own; of more, the most and the least sensitive."""

MOST_BANDS = 6
"""Layers up to which intervals are drawn; more would hide each other."""

LINEAR = 0.1
"""Share of the dense network's value up to which drops of an amount are drawn on a linear axis."""

NO_SCAN = "this study has no sensitivity scan;\nprune-study sensitivity makes one"


def sensitivity_data(results: Results, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Drop of the quality of each layer at each sparsity, with a Student-t interval over seeds.

    Returns
    -------
    DataFrame
        study, layer, sparsity, recovery_epochs, mean, low, high, std, n. With one seed, low and
        high are NaN. Layers are in the order of the scan.
    """
    by = ["study", "layer", "recovery_epochs", "sparsity"]
    drop = results.quality.drop_column
    scan = results.sensitivity.dropna(subset=[drop])
    place = {name: number for number, name in enumerate(scan["layer"].unique())}
    table = t_intervals(scan, drop, by, confidence)
    table["_place"] = table["layer"].map(place)
    order = ["study", "_place", "recovery_epochs", "sparsity"]
    return table.sort_values(order, ignore_index=True).drop(columns="_place")


def sensitivity_thresholds(
    results: Results, drop: float = 0.01, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """The most that can be taken from each layer alone at a tolerated drop of the quality.

    Between the levels of the scan the curve is a straight line. The threshold is where the curve
    first passes the tolerated drop: a curve that comes back down behind it earns nothing.

    The interval is Student's over the seeds' thresholds. In simulation (curves that differ between
    seeds by a factor, with noise, at the levels of a scan) it held the mean threshold 92 to 95
    times in 100 with 3 seeds and 94 to 95 with 5, 10 and 20; a percentile bootstrap 71 to 75, 82 to
    85, 89 to 90 and 92 to 93 times. With one seed there is none.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    drop
        Tolerated drop: 0.01 is one point of a share, 0.01 of a score, 1 % of an amount.
    confidence
        Of the interval over seeds.

    Returns
    -------
    DataFrame
        study, layer, recovery_epochs, tolerated_drop, sparsity (mean of the seeds' thresholds),
        low, high, n, and ``censored``: True where some seed never passed the drop in the scanned
        range, so that the layer may take more than is said. ``high`` is NaN there, and ``low``
        too where no seed passed it: the interval is open. The most robust layer first.

    Raises
    ------
    UsageError
        If ``drop`` is not a finite number of at least 0.
    """
    if not 0 <= drop < float("inf"):
        raise UsageError(f"drop: {drop} is not a finite number of at least 0, such as 0.01")
    quality = results.quality
    scan = relative_drops(results).dropna(subset=[quality.drop_column])
    rows = []
    for key, curve in scan.groupby(["study", "layer", "recovery_epochs", "seed"], sort=False):
        levels = curve.groupby("sparsity")[quality.drop_column].mean().sort_index()
        reached, censored = first_crossing(levels.index.to_numpy(), levels.to_numpy(), drop)
        rows.append((*key, reached, censored))
    names = ["study", "layer", "recovery_epochs", "seed", "sparsity", "censored"]
    thresholds = pd.DataFrame(rows, columns=names)
    by = ["study", "layer", "recovery_epochs"]
    table = t_intervals(thresholds, "sparsity", by, confidence)
    table = table.drop(columns="std").rename(columns={"mean": "sparsity"})
    table["low"] = table["low"].clip(0, 1)
    table["high"] = table["high"].clip(0, 1)
    seeds = thresholds.groupby(by)["censored"]
    never = pd.DataFrame({"censored": seeds.any(), "_all": seeds.all()}).reset_index()
    table = table.merge(never, on=by, how="left")
    table.loc[table["censored"].astype(bool), "high"] = np.nan
    table.loc[table["_all"].astype(bool), "low"] = np.nan
    table = table.drop(columns="_all")
    table.insert(table.columns.get_loc("sparsity"), "tolerated_drop", drop)  # type: ignore[arg-type]
    return table.sort_values(["study", "sparsity"], ascending=[True, False], ignore_index=True)


def relative_drops(results: Results) -> pd.DataFrame:
    """The scan with its drops on the scale of tolerances: of amounts, as a share of dense."""
    quality, scan = results.quality, results.sensitivity
    drops = scan[quality.drop_column] / tolerance_scales(results)
    # What diverged is worse than any tolerance; it is not unknown.
    drops = drops.where(np.isfinite(scan[quality.column]), np.inf)
    return scan.assign(**{quality.drop_column: drops})


def tolerance_scales(results: Results) -> pd.Series:
    """What a tolerance of 1 is at each level of the scan, in the unit of the drops."""
    quality, scan = results.quality, results.sensitivity
    drops, found = scan[quality.drop_column], scan[quality.column]
    before = found + drops if quality.direction == "max" else found - drops
    return pd.Series(scale(quality, before), index=scan.index, dtype="float64")


def conditional_sensitivity(
    results: Results, trial_id: str, round: int | None = None
) -> pd.DataFrame:
    """What a pruned network can take beyond the masks that it has.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    trial_id
        A trial whose network was scanned.
    round
        After which of its rounds; unset: the last one that was scanned.

    Returns
    -------
    DataFrame
        layer, sparsity, ``val_NAME`` and ``NAME_drop`` of the task's quality (against the network
        as it is), and the ``density`` of the layer in it: levels below 1 - density take nothing
        away.

    Raises
    ------
    UsageError
        If there is no such trial, or no scan of it.
    """
    ids = results.trials["trial_id"].astype("str")
    if trial_id not in set(ids):
        raise unknown_name("trial_id", trial_id, ids)
    found, scanned = read_conditional(
        results.folder_of(trial_id), trial_id, round, results.metrics, results.quality
    )
    if found is None:
        have = f"; it has scans of rounds {scanned}" if scanned else ""
        raise UsageError(
            f"trial {trial_id} has no scan of round {'any' if round is None else round}{have}; "
            f"{command(results, 'sensitivity', trial_id=trial_id)} makes one"
        )
    layers = results.layers
    own = layers[(layers["trial_id"] == trial_id) & (layers["round"] == found["round"].iloc[0])]
    density = own.set_index("layer")["density"]
    drop = next(name for name in found.columns if name.endswith("_drop"))
    columns = ["layer", "sparsity", f"val_{drop.removesuffix('_drop')}", drop]
    return found[columns].assign(density=found["layer"].map(density))


def first_crossing(levels: np.ndarray, drops: np.ndarray, drop: float) -> tuple[float, bool]:
    """Where a curve of straight lines first exceeds ``drop``, and whether it never does.

    The curve begins with no drop at sparsity 0.
    """
    if not len(levels) or levels[0] > 0:
        levels, drops = np.append(0.0, levels), np.append(0.0, drops)
    over = np.flatnonzero(drops > drop)
    if not len(over):
        return float(levels[-1]), True
    after = over[0]
    if after == 0:
        return 0.0, False
    rise = (drop - drops[after - 1]) / (drops[after] - drops[after - 1])
    return float(levels[after - 1] + rise * (levels[after] - levels[after - 1])), False


def plot_sensitivity(results: Results, drop: float | None = 0.01, ax: Axes | None = None) -> Axes:
    """Draw what pruning each layer alone costs, with intervals over seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    drop
        A tolerated drop to draw as a line, or None; of amounts it is relative, and the line at
        that share of the mean dense network.
    ax
        Where to draw; a new figure if unset.
    """
    table = _longest_recovery(sensitivity_data(results))
    ax = axes_or_new(ax)
    if table.empty:
        return say(ax, NO_SCAN)
    tidy(ax)
    draw_curves(ax, table, lambda curve: _place(curve["sparsity"]))
    drop_axis(ax, results, drop)
    _sparsity_axis(ax, table["sparsity"])
    seeds = int(table["n"].max())
    what = "sparsity" if results.scanned == "weights" else f"{results.scanned} removed"
    ax.set_xlabel(f"{what} of this layer alone (others as they were)")
    entitle(ax, scan_title(seeds, float(table["recovery_epochs"].max())))
    legend(ax)
    return ax


def draw_curves(
    ax: Axes, table: pd.DataFrame, at: Callable[[pd.DataFrame], np.ndarray | pd.Series]
) -> None:
    """A curve of mean drops for each layer, with bands where they would not hide each other.

    Parameters
    ----------
    ax
        Where to draw.
    table
        study, layer, sparsity, mean, low, high, and what ``at`` needs.
    at
        Places of a curve's points on the axis, ascending.
    """
    several = table["study"].nunique() > 1
    curves: dict[Any, pd.DataFrame] = dict(iter(table.groupby(["study", "layer"], sort=False)))
    ranked = sorted(curves, key=lambda key: -_worst(curves[key]))
    named = ranked
    if len(ranked) > MOST_CURVES:
        named = ranked[: MOST_CURVES // 2] + ranked[-MOST_CURVES // 2 :]
        rest = [key for key in ranked if key not in named]
        for number, key in enumerate(rest):
            name = f"{len(rest)} layers between" if number == 0 else None
            ax.plot(at(curves[key]), curves[key]["mean"], color="#bbbbbb",
                    linewidth=0.7, label=name, zorder=1)  # fmt: skip
    place = {key: number for number, key in enumerate(curves)}  # a layer's look in all figures
    for key in sorted(named, key=lambda each: place[each]):
        style, curve = look(place[key]), curves[key]
        x = at(curve)
        name = short(f"{key[0]} {key[1]}" if several else key[1])
        ax.plot(x, curve["mean"], color=style.colour, marker=style.marker, linestyle=style.line,
                markersize=4, linewidth=1.3, label=name, zorder=3)  # fmt: skip
        if len(ranked) <= MOST_BANDS:
            ax.fill_between(x, curve["low"], curve["high"], color=style.colour, alpha=0.15,
                            linewidth=0, zorder=2)  # fmt: skip


def drop_axis(ax: Axes, results: Results, drop: float | None) -> None:
    """The axis of drops, and a line at the tolerated one."""
    quality = results.quality
    if drop is not None:
        place_of_line = drop * float(tolerance_scales(results).mean())
        ax.axhline(place_of_line, color="#555555", linestyle=":", linewidth=1, zorder=1,
                   label=f"{_worse(quality)} of {tolerance_text(quality, drop)}")  # fmt: skip
    if quality.unit == "amount":
        # What one layer does may be hundreds of times what is tolerated, and both are to be seen.
        ax.set_yscale("symlog", linthresh=LINEAR * float(tolerance_scales(results).mean()))
    ax.set_ylabel(f"{_worse(quality)} in {label(quality.column)}")


def plot_sensitivity_map(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the mean drop of the quality of every layer (row) at every sparsity (column).

    A share's drops are in points, an amount's in percent of the dense network's value.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    ax
        Where to draw; a new figure if unset.
    """
    quality = results.quality
    table = sensitivity_map_data(results)
    if quality.unit == "amount":
        table = table / float(tolerance_scales(results).mean())
    ax = axes_or_new(ax, height=min(1.6 + 0.3 * max(len(table), 1), 14.0))
    if table.empty:
        return say(ax, NO_SCAN)
    name, (unit, factor) = quality.name.replace("_", " "), _UNITS[quality.unit]
    drawn = factor * table
    drawn.columns = pd.Index([f"{100 * level:.3g} %" for level in table.columns])
    drawn.index = pd.Index([short(str(name)) for name in table.index])
    sns.heatmap(
        drawn, ax=ax, cmap="cividis_r", vmin=0, vmax=max(float(drawn.max().max()), 1e-9),
        annot=drawn.size <= 400, fmt=".1f" if factor > 1 else ".3f", annot_kws={"fontsize": 7},
        cbar_kws={"label": f"{name} {_worse(quality)}{unit}"}, yticklabels="auto",
        rasterized=drawn.size > 2000,
    )  # fmt: skip
    ax.set(xlabel="sparsity of this layer alone", ylabel="")
    ax.tick_params(axis="y", labelsize=8, rotation=0)
    ax.tick_params(axis="x", labelsize=8, rotation=90 if len(table.columns) > 10 else 0)
    seeds = int(sensitivity_data(results)["n"].max())
    entitle(ax, f"mean of {seeds} seeds" if seeds > 1 else "one seed")
    return ax


_UNITS = {"share": (" (points)", 100), "score": ("", 1), "amount": (" (%)", 100)}
"""What drops are drawn in, by the unit of the metric."""


def _worse(quality: MetricRecord) -> str:
    return "drop" if quality.direction == "max" else "rise"


def sensitivity_map_data(results: Results) -> pd.DataFrame:
    """Mean drop, in the quality's own unit, of each layer (row) at each sparsity (column)."""
    table = _longest_recovery(sensitivity_data(results))
    names = table["layer"]
    if table["study"].nunique() > 1:
        names = table["study"] + " " + names
    order = names.drop_duplicates()
    pivot = table.assign(layer=names).pivot_table(index="layer", columns="sparsity", values="mean")
    drops: pd.DataFrame = pivot.reindex(index=order)
    return drops


def _longest_recovery(table: pd.DataFrame) -> pd.DataFrame:
    """One curve a layer: of a scan with several recoveries, the one with the most."""
    longest: pd.DataFrame = table[table["recovery_epochs"] == table["recovery_epochs"].max()]
    return longest


def _worst(curve: pd.DataFrame) -> float:
    return float(np.trapezoid(curve["mean"], curve["sparsity"])) if len(curve) > 1 else 0.0


def _place(sparsity: pd.Series) -> np.ndarray:
    """Where a sparsity lies on the axis: halvings of the density are equally far apart."""
    return -np.log2(np.maximum(1.0 - sparsity.to_numpy(), 1e-4))


def _sparsity_axis(ax: Axes, levels: pd.Series) -> None:
    ticks = [0.0, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999]
    shown = [tick for tick in ticks if tick <= levels.max() + 1e-9] or [0.0]
    ax.xaxis.set_major_locator(FixedLocator(list(_place(pd.Series(shown)))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{100 * (1 - 2**-place):.3g} %"))


def scan_title(seeds: int, recovery: float) -> str:
    """How many seeds a figure is of, and whether networks had recovered."""
    spread = f"mean and {CONFIDENCE:.0%} interval of {seeds} seeds" if seeds > 1 else "one seed"
    after = f"after {recovery:g} epochs of recovery" if recovery else "without recovery"
    return f"{spread}; {after}"
