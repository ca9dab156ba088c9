"""Which layers are worth making narrower: what it costs in quality, and what it saves."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.layers.sensitivity import (
    NO_SCAN,
    draw_curves,
    drop_axis,
    relative_drops,
    scan_title,
)
from analysis.reading.results import Results
from analysis.statistics.intervals import CONFIDENCE, t_intervals
from analysis.style import axes_or_new, entitle, legend, look, say, short, tidy
from study.errors import UsageError, unknown_name
from study.telling import Telling

By = Literal["channels", "macs", "parameters", "latency"]
"""What a narrower layer saves."""

MOST_LAYERS = 20
"""Layers of the drawing of what is worth most."""

_FACTS = [
    "units", "units_left", "macs", "macs_saved", "parameters", "parameters_saved",
    "predicted_latency_ms", "predicted_saved_ms",
]  # fmt: skip
"""Columns of a scan of channels, beside the quality."""

_LAYER = ["study", "layer", "recovery_epochs"]

OF_WEIGHTS = 'the scan took single weights out, which saves no time;\nstructure = "channels"'
NOT_TIMED = "no latency was measured;\n[latency] backend says how it is"


class _Saving(NamedTuple):
    saved: str
    whole: str | None
    name: str
    unit: str


_SAVINGS: dict[str, _Saving] = {
    "channels": _Saving("units_removed", "units", "of this layer's channels", "%"),
    "macs": _Saving("macs_saved", "macs", "of the network's multiply-adds", "%"),
    "parameters": _Saving("parameters_saved", "parameters", "of the network's parameters", "%"),
    "latency": _Saving("predicted_saved_ms", None, "predicted time of a call", "ms"),
}


def narrowing_data(results: Results, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Every width of every layer that a scan of channels tried: the drop, and what it saved.

    Levels of the scan that leave as many channels are one network, and one row.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    confidence
        Of the Student-t interval of the drop over seeds.

    Returns
    -------
    DataFrame
        study, layer (the first of a coupled set), recovery_epochs, sparsity (the lowest level of
        the scan that leaves this width), units, units_left, units_removed, macs, macs_saved,
        parameters, parameters_saved, predicted_latency_ms, predicted_saved_ms (by the table of
        layers' times; NaN where latency is not measured), mean, low, high, std, n. Layers are in
        the order of the scan, each from wide to narrow. Empty for a scan of single weights.
    """
    drop = results.quality.drop_column
    scan = _tried(results.sensitivity).dropna(subset=[drop])
    by = [*_LAYER, "units_left"]
    intervals = t_intervals(scan, drop, by, confidence)
    facts = scan.drop_duplicates(by)[[*_LAYER, "sparsity", *_FACTS]]
    table = facts.merge(intervals, on=by, how="left")
    removed = table["units"] - table["units_left"]
    table.insert(list(table.columns).index("units_left") + 1, "units_removed", removed)
    place = {name: number for number, name in enumerate(scan["layer"].unique())}
    table["_place"] = table["layer"].map(place)
    order = ["study", "_place", "recovery_epochs", "units_removed"]
    return table.sort_values(order, ignore_index=True).drop(columns="_place")


def pruning_worth(
    results: Results, by: By = "latency", drop: float = 0.02, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Which layers are worth making narrower: quality lost for what is saved.

    Each layer is judged by one network of the scan: the narrowest that, like all wider ones, is
    within the tolerated drop on average over seeds; where none is, the widest that is narrower
    than dense (``within`` is False). Nothing is interpolated: times do not lie on a line.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    by
        ``"latency"``: predicted milliseconds of a call; or ``"macs"``, ``"parameters"`` (shares
        of the network's), ``"channels"`` (share of the layer's).
    drop
        Tolerated drop: 0.01 is one point of a share, 0.01 of a score, 1 % of an amount.
    confidence
        Of the interval over seeds. It is of the network that was chosen, and does not know of the
        choice.

    Returns
    -------
    DataFrame
        study, layer, recovery_epochs, tolerated_drop, sparsity, units, units_left, within, saved
        (milliseconds, or a share), lost (mean drop, of amounts as a share of dense),
        lost_per_saved (their ratio: a drop for each millisecond, or for the whole of what a share
        is of), low, high, n. What is worth most comes first: layers that lose nothing, by what
        they save; then by the ratio; then those that are not within the tolerated drop; last those
        that save nothing, whose ratio is NaN.

    Raises
    ------
    UsageError
        If ``by`` is unknown, or ``drop`` is not a finite number of at least 0.
    """
    saving = _saving_of(by)
    if not 0 <= drop < float("inf"):
        raise UsageError(f"drop: {drop} is not a finite number of at least 0, such as 0.01")
    column = results.quality.drop_column
    scan = _tried(relative_drops(results)).dropna(subset=[column])
    scan = scan.assign(units_removed=scan["units"] - scan["units_left"])
    whole = 1.0 if saving.whole is None else scan[saving.whole]
    scan = scan.assign(saved=(scan[saving.saved] / whole).astype("float64")).dropna(
        subset=["saved"]
    )
    narrower = scan[scan["units_removed"] > 0]
    chosen = [_judged(own, column, drop) for _, own in narrower.groupby(_LAYER, sort=False)]
    own = pd.concat(chosen) if chosen else narrower.assign(within=pd.Series(dtype="bool"))
    own["lost_per_saved"] = own[column] / own["saved"].where(own["saved"] > 0)
    keys = [*_LAYER, "sparsity", "units", "units_left", "within", "saved"]
    table = t_intervals(own, "lost_per_saved", keys, confidence)
    table = table.drop(columns="std").rename(columns={"mean": "lost_per_saved"})
    lost = own.groupby(keys, sort=False, observed=True)[column].mean().reset_index(drop=True)
    table.insert(table.columns.get_loc("lost_per_saved"), "lost", lost)  # type: ignore[arg-type]
    table.insert(3, "tolerated_drop", drop)
    free, idle = table["lost"] <= 0, table["lost_per_saved"].isna()
    rank = np.select([idle, ~table["within"].astype("bool"), free], [3, 2, 0], default=1)
    order = table["lost_per_saved"].where(~free, -table["saved"])
    ranked = table.assign(_rank=rank, _order=order)
    ranked = ranked.sort_values(["study", "_rank", "_order"], ignore_index=True)
    return ranked.drop(columns=["_rank", "_order"])


def plot_narrowing(
    results: Results, by: By = "macs", drop: float | None = 0.01, ax: Axes | None = None
) -> Axes:
    """Draw what making each layer alone narrower costs, against what it saves.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    by
        What is saved, as in :func:`analysis.pruning_worth`.
    drop
        A tolerated drop to draw as a line, or None.
    ax
        Where to draw; a new figure if unset.
    """
    saving = _saving_of(by)
    ax = axes_or_new(ax)
    table = narrowing_data(results)
    table = table[table["recovery_epochs"] == table["recovery_epochs"].max()]
    if by == "latency":
        table = table.dropna(subset=["predicted_saved_ms"])
    if table.empty:
        return say(ax, _why_none(results, by))
    tidy(ax)
    draw_curves(ax, table.assign(_at=_places(table, saving)), lambda curve: curve["_at"])
    drop_axis(ax, results, drop)
    verb = "removed" if by == "channels" else "saved"
    unit = f"ms of {table['predicted_latency_ms'].max():.3g}" if by == "latency" else "%"
    ax.set_xlabel(f"{verb} by narrowing this layer alone: {saving.name} ({unit})")
    entitle(ax, scan_title(int(table["n"].max()), float(table["recovery_epochs"].max())))
    legend(ax)
    return ax


def plot_pruning_worth(
    results: Results, by: By = "latency", drop: float = 0.02, ax: Axes | None = None
) -> Axes:
    """Draw which layers are worth making narrower, with intervals over seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    by, drop
        As in :func:`analysis.pruning_worth`.
    ax
        Where to draw; a new figure if unset.
    """
    saving = _saving_of(by)
    table = pruning_worth(results, by, drop).dropna(subset=["lost_per_saved"]).head(MOST_LAYERS)
    ax = axes_or_new(ax, height=1.6 + 0.34 * max(len(table), 1))
    if table.empty:
        return say(ax, _why_none(results, by))
    tidy(ax)
    factor = 1.0 if results.quality.unit == "score" else 100.0
    factor = factor if by == "latency" else factor / 100.0  # for each percent that is saved
    places, style = np.arange(len(table))[::-1], look(0)
    mean = factor * table["lost_per_saved"].to_numpy()
    ends = [np.abs(factor * table[end].to_numpy() - mean) for end in ("low", "high")]
    ax.errorbar(mean, places, xerr=np.nan_to_num(np.array(ends)), fmt="none",
                ecolor=style.colour, alpha=0.5, linewidth=1.2, zorder=2)  # fmt: skip
    for within, label in (
        (True, "within the tolerated drop"),
        (False, "none within it: the widest"),
    ):
        chosen = table["within"].to_numpy() == within
        if chosen.any():
            ax.plot(mean[chosen], places[chosen], linestyle="", marker="o", markersize=5,
                    color=style.colour, markerfacecolor=style.colour if within else "white",
                    label=label, zorder=3)  # fmt: skip
    several = table["study"].nunique() > 1
    names = [
        f"{short(f'{study} {layer}' if several else str(layer))}\n"
        f"{units:.0f} to {left:.0f}, {_amount(float(saved), saving)}"
        for study, layer, units, left, saved in zip(
            *(table[name] for name in ("study", "layer", "units", "units_left", "saved")),
            strict=True,
        )
    ]
    ax.set_yticks(places, names, fontsize=7)
    ax.axvline(0.0, color="#555555", linewidth=0.8, zorder=1)
    tell = Telling(results.quality)
    per = "ms of a call" if by == "latency" else f"1 % {saving.name}"
    ax.set(xlabel=f"{tell.heading} for each {per} saved: less is better", ylabel="")
    ax.set_ylim(-0.6, len(table) - 0.4)
    entitle(ax, f"{scan_title(int(table['n'].max()), float(table['recovery_epochs'].max()))}")
    legend(ax)
    return ax


def _tried(scan: pd.DataFrame) -> pd.DataFrame:
    """Rows of a scan of channels, one for each width and seed."""
    missing = [name for name in _FACTS if name not in scan]
    scan = scan.assign(**dict.fromkeys(missing, np.nan)).dropna(subset=["units"])
    scan = scan.astype(dict.fromkeys(_FACTS, "float64"))
    widest_first = scan.sort_values("sparsity", kind="stable")
    tried: pd.DataFrame = widest_first.drop_duplicates([*_LAYER, "seed", "units_left"])
    in_order: pd.DataFrame = tried.sort_index()
    return in_order


def _judged(layer: pd.DataFrame, column: str, drop: float) -> pd.DataFrame:
    """The rows, one a seed, of the width by which a layer is judged."""
    means = layer.groupby("units_left")[column].mean().sort_index(ascending=False)
    past = np.flatnonzero(~(means.to_numpy() <= drop + 1e-12))
    first_past = int(past[0]) if len(past) else len(means)
    width = means.index[max(first_past - 1, 0)]
    chosen: pd.DataFrame = layer[layer["units_left"] == width].assign(within=first_past > 0)
    return chosen


def _places(table: pd.DataFrame, saving: _Saving) -> pd.Series:
    if saving.whole is None:
        return table[saving.saved]
    return 100 * table[saving.saved] / table[saving.whole]


def _amount(saved: float, saving: _Saving) -> str:
    return f"{saved:.3g} ms" if saving.whole is None else f"{100 * saved:.0f} %"


def _saving_of(by: str) -> _Saving:
    if by not in _SAVINGS:
        raise unknown_name("by", by, _SAVINGS)
    return _SAVINGS[by]


def _why_none(results: Results, by: str) -> str:
    if results.sensitivity.empty:
        return NO_SCAN
    tried = _tried(results.sensitivity)
    if tried.empty:
        return OF_WEIGHTS
    if by == "latency" and tried["predicted_saved_ms"].isna().all():
        return NOT_TIMED
    saved = "is predicted to save time" if by == "latency" else "saved anything"
    return f"none of the widths that are judged {saved}"
