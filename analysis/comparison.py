"""Which way is better: differences between groups, paired by seed, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import stdtr

from analysis.intervals import CONFIDENCE, t_interval, t_intervals
from analysis.results import Results
from analysis.scoring import DENSITIES, scores
from analysis.style import axes_or_new, entitle, label, legend, log_axis, looks, say, tidy
from study.errors import unknown_name

LEAST_SEEDS = 6
"""Seeds below which no p-value is given: a sign test could not reach 0.05 with five."""


def compare(
    results: Results,
    by: str = "retrain",
    *,
    baseline: str | None = None,
    densities: Sequence[float] = DENSITIES,
    budgets: Sequence[float] | None = None,
    value: str = "val_accuracy",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Mean differences between groups at equal density and equal budget, paired by seed.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    by
        What makes a group, as in :func:`analysis.scores`.
    baseline
        The group that the others are compared with; unset: every pair.
    densities, budgets, value
        As in :func:`analysis.scores`.
    confidence
        Of the intervals.

    Returns
    -------
    DataFrame
        a, b, density, budget; difference (mean of ``value`` of a minus that of b over common
        seeds), low, high (Student-t, NaN with one seed), n (common seeds), effect_size (Cohen's
        d of the paired differences, with Hedges' correction), p_value (two-sided paired t-test;
        NaN below six seeds), p_holm (corrected over all rows), networks_a and networks_b (how
        many networks each could choose its best from, on average).

    Raises
    ------
    UsageError
        If there is no such group or column.

    References
    ----------
    Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    table = scores(results, by, densities=densities, budgets=budgets, value=value)
    groups = sorted(table["group"].unique())
    if baseline is not None and baseline not in groups:
        raise unknown_name("baseline", baseline, groups)
    pairs = (
        list(combinations(groups, 2))
        if baseline is None
        else [(group, baseline) for group in groups if group != baseline]
    )
    rows = []
    for (density, budget), level in table.groupby(["density", "budget"], sort=False):
        values = level.pivot_table(index="seed", columns="group", values=value)
        counts = level.groupby("group")["networks"].mean()
        for a, b in pairs:
            if a in values and b in values:
                facts = _difference((values[a] - values[b]).dropna().to_numpy(), confidence)
                many = {"networks_a": counts[a], "networks_b": counts[b]}
                rows.append({"a": a, "b": b, "density": density, "budget": budget} | facts | many)
    columns = [
        "a", "b", "density", "budget", "difference", "low", "high", "n", "effect_size",
        "p_value", "p_holm", "networks_a", "networks_b",
    ]  # fmt: skip
    compared = pd.DataFrame(rows, columns=[name for name in columns if name != "p_holm"])
    compared = compared[compared["n"] > 0].reset_index(drop=True)
    compared["p_holm"] = holm(compared["p_value"].to_numpy(dtype=np.float64))
    return compared[columns]


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for their number; NaN are no tests and stay NaN."""
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def plot_comparison(
    results: Results,
    by: str = "retrain",
    *,
    densities: Sequence[float] = DENSITIES,
    budget: float | None = None,
    value: str = "val_accuracy",
    ax: Axes | None = None,
) -> Axes:
    """Draw the best that each group reaches at each density, with intervals over seeds.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    by
        What makes a group, as in :func:`analysis.scores`.
    densities, value
        As in :func:`analysis.scores`.
    budget
        Epochs that a network may have taken, the dense run included; unset: no limit.
    ax
        Where to draw; a new figure if unset.
    """
    table = comparison_data(results, by, densities=densities, budget=budget, value=value)
    ax = axes_or_new(ax)
    if table.empty:
        return say(ax, f"no network has a {label(value)} at these densities")
    tidy(ax)
    styles = looks(table["group"].unique())
    for number, (name, group) in enumerate(table.groupby("group", sort=True)):
        style = styles[str(name)]
        # A little apart, so that intervals at the same density do not hide each other.
        x = group["density"] * 1.02 ** (number - (len(styles) - 1) / 2)
        half = [group["mean"] - group["low"], group["high"] - group["mean"]]
        seeds = int(group["n"].max())
        ax.errorbar(
            x, group["mean"], yerr=np.nan_to_num(np.array(half)), color=style.colour,
            marker=style.marker, linestyle=style.line, capsize=2, markersize=5, linewidth=1.2,
            label=f"{name} ({seeds} seed{'' if seeds == 1 else 's'})",
        )  # fmt: skip
    _look_at_the_means(ax, table, value)
    log_axis(ax)
    ax.invert_xaxis()
    ax.set(xlabel="density at most (kept / prunable weights)", ylabel=f"best {label(value)}")
    limit = "" if budget is None else f" within {budget:g} epochs"
    spread = f", {CONFIDENCE:.0%} intervals over seeds" if table["n"].max() > 1 else ", one seed"
    entitle(ax, f"best of each {label(by)}{limit}{spread}")
    legend(ax)
    return ax


def _look_at_the_means(ax: Axes, table: pd.DataFrame, value: str) -> None:
    """Cut off intervals that are wider than all differences: they would hide them."""
    low, high = table["mean"].min(), table["mean"].max()
    margin = max(0.5 * (high - low), 1e-3)
    bottom, top = low - margin, high + margin
    if value.endswith("accuracy"):
        bottom, top = max(bottom, 0.0), min(top, 1.0)
    if table["low"].min() < bottom or table["high"].max() > top:
        # A little more, so that a mark at the edge is whole.
        ax.set_ylim(bottom, top + 0.02 * (top - bottom))
        ax.text(
            0.01, 0.01, "intervals beyond the edge are cut off", fontsize="small",
            color="#555555", transform=ax.transAxes,
        )  # fmt: skip


def comparison_data(
    results: Results,
    by: str = "retrain",
    *,
    densities: Sequence[float] = DENSITIES,
    budget: float | None = None,
    value: str = "val_accuracy",
) -> pd.DataFrame:
    """Mean over seeds of each group's best at each density: group, density, mean, low, high, n."""
    budgets = None if budget is None else (budget,)
    table = scores(results, by, densities=densities, budgets=budgets, value=value)
    return t_intervals(table, value, ["group", "density"])


def _difference(differences: np.ndarray, confidence: float) -> dict[str, float]:
    interval = t_interval(differences, confidence)
    n = interval.n
    effect = p_value = np.nan
    if n >= 2 and interval.std > 0:
        correction = 1.0 - 3.0 / (4.0 * (n - 1) - 1.0)
        effect = interval.mean / interval.std * correction
        if n >= LEAST_SEEDS:
            statistic = abs(interval.mean) / (interval.std / np.sqrt(n))
            p_value = float(2.0 * stdtr(n - 1, -statistic))
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": n,
        "effect_size": effect,
        "p_value": p_value,
    }
