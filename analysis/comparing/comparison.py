"""Which way is better: differences between groups, paired by seed, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.statistics.differences import paired_table
from analysis.statistics.intervals import CONFIDENCE, t_intervals
from analysis.statistics.scoring import DENSITIES, runs_of, scores
from analysis.style import (
    Look,
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
from study.errors import UsageError

_ACROSS_TASKS = "Compare ways of pruning within each of them, by 'retrain' for example."

MOST_DRAWN = 14
"""Groups beyond which lines would hide each other, and legends the lines."""


def compare(
    results: Results,
    by: str = "retrain",
    *,
    baseline: str | None = None,
    densities: Sequence[float] = DENSITIES,
    budgets: Sequence[float] | None = None,
    value: str | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Mean differences between groups at equal density and equal budget, paired by seed.

    Each group has the expected best of as many trials as the smallest group has on that seed,
    as in :func:`analysis.scores`: the best of more would be better by luck alone.

    Groups within studies are paired within each study and seed, so that of several studies, even
    of different tasks, each difference is one of like with like. Studies are paired by seed.
    Studies of one task share the luck of a seed that both have, and differences on it are not
    quite independent: intervals over many studies of few seeds are too narrow.

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
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        a, b, density, budget; difference (mean of ``value`` of a minus that of b over common
        runs; of a loss or a perplexity, less is better), low, high (Student-t, NaN with one run), n
        (common runs: seeds, of each study), effect_size (Cohen's d of the paired differences, with
        Hedges' correction; NaN below three runs), p_value (two-sided paired t-test; NaN below
        six runs), p_holm (corrected over all rows), networks_a and networks_b, trials_a and
        trials_b (how many each has to choose from, on average), k_a and k_b (of how many trials
        the best is expected). Where all differences are equal, effect size and p-value are NaN,
        for a t-test knows of no spread there.

    Raises
    ------
    UsageError
        If there is no such group or column, a level or the confidence is impossible, or studies
        of different tasks are compared.
    """
    value = results.quality.column if value is None else value
    table = scores(results, by, densities=densities, budgets=budgets, value=value)
    if by == "study":
        need_one_task(results, "a comparison of studies", _ACROSS_TASKS)
    return paired_table(table, value, ["density", "budget"], runs_of(by), baseline, confidence)


def plot_comparison(
    results: Results,
    by: str = "retrain",
    *,
    densities: Sequence[float] = DENSITIES,
    budget: float | None = None,
    value: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the expected best of each group at each density, with intervals over seeds.

    At each density it is of as many trials as the smallest group has there, so that groups of
    different sizes can be compared.

    A line joins densities that the same seeds reached; where they change it is broken, and each
    mark has its n: means over different seeds differ by the luck of the seeds.

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
    value = results.quality.column if value is None else value
    table = comparison_data(results, by, densities=densities, budget=budget, value=value)
    ax = axes_or_new(ax)
    if table.empty:
        return say(ax, f"no network has a {label(value)} at these densities")
    groups = table["group"].nunique()
    if groups > MOST_DRAWN:
        raise UsageError(f"by: {by!r} makes {groups} groups; up to {MOST_DRAWN} can be told apart")
    tidy(ax)
    styles = looks(table["group"].unique())
    run = "run" if len(results.parts) > 1 and by != "study" else "seed"
    for number, (name, group) in enumerate(table.groupby("group", sort=True)):
        # A little apart, so that intervals at the same density do not hide each other.
        _draw_group(ax, group, styles[str(name)], 1.02 ** (number - (len(styles) - 1) / 2), run)
    metric = results.metric_of(value)
    _look_at_the_means(ax, table, metric is not None and metric.unit == "share")
    log_axis(ax)
    ax.invert_xaxis()
    worse = " (less is better)" if results.direction_of(value) == "min" else ""
    best = f"best {label(value)}" if by == "study" else _expected(label(value), table["k"])
    ax.set(xlabel="density at most (kept / prunable weights)", ylabel=f"{best}{worse}")
    limit = "" if budget is None else f" within {budget:g} epochs"
    spread = f", {CONFIDENCE:.0%} intervals over {run}s" if table["n"].max() > 1 else f", one {run}"
    what = "best of each study" if by == "study" else f"equally many trials of each {label(by)}"
    entitle(ax, f"{what}{limit}{spread}")
    legend(ax)
    return ax


def _draw_group(ax: Axes, group: pd.DataFrame, style: Look, apart: float, run: str) -> None:
    fewest, most = int(group["n"].min()), int(group["n"].max())
    counted = f"{most}" if fewest == most else f"{fewest} to {most}"
    name = f"{plain(str(group['group'].iloc[0]))} ({counted} {run}{'' if most == 1 else 's'})"
    for _, line in group.groupby("line", sort=True):
        half = [line["mean"] - line["low"], line["high"] - line["mean"]]
        ax.errorbar(
            line["density"] * apart, line["mean"], yerr=np.nan_to_num(np.array(half)),
            color=style.colour, marker=style.marker, linestyle=style.line, capsize=2,
            markersize=5, linewidth=1.2, label=name,
        )  # fmt: skip
        name = "_"  # one line of the legend for all parts
    if group["line"].nunique() > 1:
        for n, x, y in zip(group["n"], group["density"] * apart, group["mean"], strict=True):
            ax.annotate(
                f"n={n}", (x, y), xytext=(3, 4),
                textcoords="offset points", fontsize="x-small", color=style.colour,
            )  # fmt: skip


def _expected(name: str, k: pd.Series) -> str:
    """Of how many trials the best is expected."""
    fewest, most = int(k.min()), int(k.max())
    if most == 1:
        return f"expected {name} of a trial"
    return f"{name}, expected best of {most if fewest == most else f'{fewest} to {most}'} trials"


def _look_at_the_means(ax: Axes, table: pd.DataFrame, is_share: bool) -> None:
    """Cut off intervals that are wider than all differences: they would hide them."""
    low, high = table["mean"].min(), table["mean"].max()
    margin = max(0.5 * (high - low), 1e-3 * abs(high), 1e-9)
    bottom, top = low - margin, high + margin
    if is_share:
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
    value: str | None = None,
) -> pd.DataFrame:
    """Mean over seeds of each group's expected best at each density.

    Returns
    -------
    DataFrame
        group, density, mean, low, high, std, n (seeds; of several studies, seeds of each), k (of
        how many trials the best is expected, on the seed with the fewest), line: a number that is
        the same at densities, one after the other, that the same seeds reached. Ordered by group,
        then from dense to sparse.

    Raises
    ------
    UsageError
        As :func:`analysis.scores`, and if the studies have different tasks: a mean over them
        would be of nothing.
    """
    need_one_task(results, "a mean over studies", _ACROSS_TASKS)
    value = results.quality.column if value is None else value
    budgets = None if budget is None else (budget,)
    table = scores(results, by, densities=densities, budgets=budgets, value=value)
    table = table.sort_values(["group", "density"], ascending=[True, False], kind="stable")
    means = t_intervals(table, value, ["group", "density"])
    fewest = table.groupby(["group", "density"], sort=False)["k"].min()
    means["k"] = fewest.to_numpy(dtype=np.int64)
    run = table["study"] + "/" + table["seed"].astype("str")
    runs = table.assign(run=run).groupby(["group", "density"], sort=False)["run"]
    reached = runs.agg(frozenset).reset_index()
    same = reached["run"].eq(reached["run"].shift()) & reached["group"].eq(reached["group"].shift())
    return means.assign(line=(~same).astype("int64").groupby(means["group"]).cumsum())
