"""Which layers can take it, from the search itself: quality against each layer's sparsity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.reading.candidates import with_figures
from analysis.reading.objectives import numbers_of
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.settings.surrogate import LEAST_GROUPS, Surrogate, as_numbers, fit_surrogate, trust
from analysis.style import axes_or_new, entitle, label, legend, log_axis, look, say, short, tidy

GRID = 12
MOST_CURVES = 8
_MOST_ROWS = 4000
_AVERAGED = 200
"""Networks over which a curve is averaged; more change it little."""


def partial_dependence(
    results: Results, value: str | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Mean quality as one layer's density varies, all else as the search had it.

    A surrogate learns the quality of every pruned network from the densities of its layers,
    its round, its way of retraining and its epochs. Read the curves together with ``r2``, and
    only within the densities that the search tried: elsewhere a surrogate guesses.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    value
        A column of ``results.rounds``; unset: the study's quality.
    seed
        Of the surrogate.

    Returns
    -------
    DataFrame
        layer, density, sparsity, mean, low, high (the range over the models of the folds),
        span (largest minus smallest mean of the layer), r2 (on trials that a model has not
        seen), n (networks). The layer with the largest span first; empty with fewer than ten
        trials, or where the value does not vary.

    Raises
    ------
    UsageError
        If there is no such column, or the studies are of different tasks.
    """
    value = results.quality.column if value is None else value
    need_one_task(results, "partial dependence", "Look at each study by itself.")
    numbers_of(results.rounds, "value", value)
    columns = ["layer", "density", "sparsity", "mean", "low", "high", "span", "r2", "n"]
    table = _observations(results, value)
    if table.empty:
        return pd.DataFrame(columns=columns)
    layers = [name for name in table.columns if name.startswith("layer.")]
    features = table.drop(columns=[value, "trial_id"])
    surrogate = None
    if layers:
        groups = table["trial_id"].factorize()[0]
        target = table[value].to_numpy(dtype=np.float64)
        surrogate = fit_surrogate(as_numbers(features), target, groups, seed)
    if surrogate is None:
        return pd.DataFrame(columns=columns)
    matrix = as_numbers(features)
    curves = [
        _curve(surrogate, matrix, place, name.removeprefix("layer."), seed)
        for place, name in enumerate(features.columns)
        if name in layers
    ]
    found = pd.concat([curve for curve in curves if len(curve)] or [pd.DataFrame()])
    if found.empty:
        return pd.DataFrame(columns=columns)
    found = found.assign(r2=surrogate.r2, n=len(table))
    order = ["span", "layer", "density"]
    return found.sort_values(order, ascending=[False, True, False], ignore_index=True)[columns]


def plot_partial_dependence(
    results: Results, value: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the partial dependence on each layer's density; the title says how far to trust it.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    value
        A column of ``results.rounds``; unset: the study's quality.
    ax
        Where to draw; a new figure if unset.
    """
    value = results.quality.column if value is None else value
    table = partial_dependence(results, value)
    ax = axes_or_new(ax)
    if table.empty:
        return say(
            ax, f"partial dependence needs {LEAST_GROUPS} trials\nwhose layers and results vary"
        )
    tidy(ax)
    names = table["layer"].drop_duplicates().tolist()
    place = {name: n for n, name in enumerate(results.layers["layer"].drop_duplicates())}
    for name in names[:MOST_CURVES]:
        style, curve = look(place[name]), table[table["layer"] == name]
        ax.plot(curve["density"], curve["mean"], color=style.colour, marker=style.marker,
                linestyle=style.line, markersize=4, linewidth=1.2, label=short(name))  # fmt: skip
        ax.fill_between(curve["density"], curve["low"], curve["high"], color=style.colour,
                        alpha=0.12, linewidth=0)  # fmt: skip
    for name in names[MOST_CURVES:]:
        curve = table[table["layer"] == name]
        ax.plot(curve["density"], curve["mean"], color="#bbbbbb", linewidth=0.7, zorder=1)
    if len(names) > MOST_CURVES:
        ax.plot(
            [], [], color="#bbbbbb", label=f"{len(names) - MOST_CURVES} layers that matter less"
        )
    log_axis(ax)
    ax.invert_xaxis()
    r2, n = float(table["r2"].iloc[0]), int(table["n"].iloc[0])
    ax.set(xlabel="density of this layer (others as searched)", ylabel=f"expected {label(value)}")
    entitle(ax, f"surrogate of {n:,} networks, R² on unseen trials {r2:.2f}{trust(r2)}")
    legend(ax)
    return ax


def _observations(results: Results, value: str) -> pd.DataFrame:
    """A row a pruned network: log2 density of each layer, and how it was retrained."""
    rounds = with_figures(results)
    rounds = rounds[rounds["round"] > 0]
    rounds = rounds[np.isfinite(rounds[value].to_numpy(dtype=np.float64))]
    if len(rounds) > _MOST_ROWS:
        rounds = rounds.sample(_MOST_ROWS, random_state=0).sort_index()
    layers = results.layers[results.layers["trial_id"].isin(rounds["trial_id"].unique())]
    table = layers.pivot_table(index=["trial_id", "round"], columns="layer", values="density")
    # A layer without a weight has no logarithm; it is put below the sparsest that was seen.
    table = table.clip(lower=2.0**-14).apply(np.log2).add_prefix("layer.")
    how = results.trials.drop_duplicates("trial_id").set_index("trial_id")
    ways = how[["retrain", "retrain_epochs", "retrain_lr", "rewind_epoch"]].add_prefix("plan.")
    keys = ["trial_id", "round"]
    table = rounds[[*keys, value]].merge(table.reset_index(), on=keys)
    table = table.merge(ways.reset_index(), on="trial_id", how="left")
    known: pd.DataFrame = table.dropna(axis=1, how="all") if len(table) else table
    return known


def _curve(
    surrogate: Surrogate, matrix: np.ndarray, place: int, layer: str, seed: int
) -> pd.DataFrame:
    seen = matrix[:, place][np.isfinite(matrix[:, place])]
    low, high = np.quantile(seen, [0.02, 0.98]) if len(seen) else (0.0, 0.0)
    if low == high:
        return pd.DataFrame()
    grid = np.linspace(low, high, GRID)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(matrix), min(_AVERAGED, len(matrix)), replace=False)
    repeated = np.repeat(matrix[rows][None], GRID, axis=0)
    repeated[:, :, place] = grid[:, None]
    flat = repeated.reshape(-1, matrix.shape[1])
    means = np.array(
        [model.predict(flat).reshape(GRID, -1).mean(axis=1) for model in surrogate.models]
    )
    mean = means.mean(axis=0)
    return pd.DataFrame(
        {
            "layer": layer,
            "density": 2.0**grid,
            "sparsity": 1.0 - 2.0**grid,
            "mean": mean,
            "low": means.min(axis=0),
            "high": means.max(axis=0),
            "span": float(np.ptp(mean)),
        }
    )
