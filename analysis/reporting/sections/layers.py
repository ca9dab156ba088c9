"""Which layers can take it: alone, and in the networks that the search found."""

from __future__ import annotations

import math

import pandas as pd

from analysis.layers.layer_densities import layer_density_data, plot_layer_densities
from analysis.layers.narrowing import (
    By,
    narrowing_data,
    plot_narrowing,
    plot_pruning_worth,
    pruning_worth,
)
from analysis.layers.sensitivity import (
    MOST_CURVES,
    plot_sensitivity,
    plot_sensitivity_map,
    sensitivity_map_data,
    sensitivity_thresholds,
)
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, as_table
from analysis.reporting.page.drawing import figure
from analysis.spending.latency import clock_of
from analysis.statistics.replicates import searched
from study.telling import Telling, percent

DROP = 0.02
"""Drop of the quality at which the scan's thresholds are told."""


def layers(results: Results) -> Section:
    """Sensitivity curves, their thresholds, and what the front chose."""
    sentences = [
        "Alone: one layer is pruned, the others are left as they are. In the search: what the "
        "networks on the front keep of each layer together."
    ]
    figures: list[Figure] = []
    missing: list[str] = []
    tables: list[Table] = []
    results = searched(results)
    thresholds, tell = sensitivity_thresholds(results, DROP), Telling(results.quality)
    if thresholds.empty:
        missing.append(
            "No sensitivity scan was made: scan = true under [sensitivity], or prune-study "
            "sensitivity STUDY.toml."
        )
    else:
        most, least = thresholds.iloc[0], thresholds.iloc[-1]
        finding = (
            f"Pruned alone and not retrained, {most['layer']} takes the most of its "
            f"{results.scanned} "
            f"before {tell.name} {tell.worse}s by {tell.within(DROP)} ({_taken(most)}), and "
            f"{least['layer']} the least ({_taken(least)}). {_over(int(thresholds['n'].max()))}"
        )
        if not most["low"] > least["high"]:
            finding += " Their intervals overlap or are not known: the order may be another."
        data = sensitivity_map_data(results)
        figures.append(figure(finding, plot_sensitivity(results, DROP), data.reset_index()))
        if len(data) > MOST_CURVES:  # whose curves hide each other
            figures.append(
                figure(
                    f"All {len(data)} layers: where a row turns dark, the layer can take no more.",
                    plot_sensitivity_map(results),
                )
            )
        worth, figures_of_worth = _worth_narrowing(results)
        figures += figures_of_worth
        tables += worth
        tables.append(
            as_table(
                f"Sparsity of each layer at a {tell.worse} of {tell.within(DROP)}",
                thresholds.drop(columns=["study"], errors="ignore"),
            )
        )
    chosen = layer_density_data(results)
    if chosen.empty:
        missing.append("No pruned network is on the front, so nothing can be said of its layers.")
    else:
        kept = chosen.mean(axis=1).sort_values()
        finding = (
            f"On the front, {kept.index[0]} keeps the least ({percent(kept.iloc[0], 0)} on "
            f"average) and {kept.index[-1]} the most ({percent(kept.iloc[-1], 0)})."
        )
        shown = chosen.set_axis([f"of {100 * each:.3g} %" for each in chosen.columns], axis=1)
        figures.append(figure(finding, plot_layer_densities(results), shown.reset_index()))
    return Section(
        "layers", "Which layers can take it?", sentences, figures=figures, tables=tables,
        missing=missing,
    )  # fmt: skip


def _worth_narrowing(results: Results) -> tuple[list[Table], list[Figure]]:
    """Of a scan of channels: what the layers save for what they cost."""
    tried = narrowing_data(results)
    if tried.empty:
        return [], []
    timed = tried["predicted_saved_ms"].notna().any()
    by: By = "latency" if timed else "macs"
    worth = pruning_worth(results, by, DROP)
    tables = [
        as_table(
            "Each layer's narrowest width within the tolerated drop, and what it saves "
            + ("(predicted ms)" if timed else "(share of the multiply-adds)"),
            worth.drop(columns=["study"], errors="ignore"),
        )
    ]
    shown = tried.drop(columns=["study"], errors="ignore")
    figures = [
        figure(_most_worth(results, worth, by), plot_pruning_worth(results, by, DROP), worth)
    ]
    figures.append(figure(_most_macs(results), plot_narrowing(results, "macs", DROP), shown))
    if timed:
        how = clock_of(results)
        said = (
            f"The time that each layer alone saves, predicted by the times of layers of just "
            f"these sizes ({how['backend']}, batches of {how['batch_size']}): no clock was held to "
            "the narrower networks. Times do not fall evenly with widths."
        )
        figures.append(figure(said, plot_narrowing(results, "latency", DROP), shown))
    return tables, figures


def _most_worth(results: Results, worth: pd.DataFrame, by: By) -> str:
    """One sentence: where narrowing pays most, and where least, of what is within the drop."""
    tell = Telling(results.quality, 1.0)  # drops are on the scale of tolerances here

    def said(row: pd.Series) -> str:
        share = f"{percent(row['saved'], 0)} of the multiply-adds"
        saved = f"{row['saved']:.3g} ms" if by == "latency" else share
        lost = "nothing" if row["lost"] <= 0 else tell.gap(row["lost"])
        return (
            f"{row['layer']} ({row['units']:.0f} to {row['units_left']:.0f} {results.scanned} "
            f"save {saved} and cost {lost})"
        )

    within = Telling(results.quality).within(DROP)
    what = "time" if by == "latency" else "multiply-adds"
    ranked = worth[worth["within"].astype("bool") & (worth["saved"] > 0)]
    if ranked.empty:
        saves = "is predicted to save" if by == "latency" else "saves"
        return (
            f"Nothing is saved within {within}: no layer that was made narrower alone, "
            f"{_how_retrained(worth)}, is so good and {saves} {what}."
        )
    most, least = ranked.iloc[0], ranked.iloc[-1]
    if len(ranked) == 1:
        return (
            f"One set of {results.scanned} alone saves {what} within {within}: {said(most)}, "
            f"{_how_retrained(ranked)}."
        )
    sentence = (
        f"Within {within}, narrowing pays most in {said(most)}, and least in {said(least)}, alone "
        f"and {_how_retrained(ranked)}."
    )
    if not most["high"] < least["low"]:
        sentence += " Their intervals overlap or are not known: the order may be another."
    return sentence


def _most_macs(results: Results) -> str:
    """One sentence: how many multiply-adds one layer alone can spare."""
    worth = pruning_worth(results, "macs", DROP)
    saved = worth["saved"].where(worth["within"].astype("bool"), 0.0)
    spare = pd.Series(saved.to_numpy(), index=worth["layer"]).sort_values(ascending=False)
    within = Telling(results.quality).within(DROP)
    if spare.empty or spare.iloc[0] <= 0:
        return f"No layer alone saves multiply-adds within {within}, of the widths that were tried."
    return (
        f"Within {within}, {spare.index[0]} alone saves the most multiply-adds "
        f"({percent(spare.iloc[0], 0)} of the network's) and {spare.index[-1]} the least "
        f"({percent(spare.iloc[-1], 0)}), of the widths that were tried."
    )


def _how_retrained(worth: pd.DataFrame) -> str:
    epochs = float(worth["recovery_epochs"].max())
    return f"after {epochs:g} epochs of recovery" if epochs else "not retrained"


def _taken(row: pd.Series) -> str:
    """How much a layer takes, with its interval where there is one."""
    share = f"{'at least ' if row['censored'] else ''}{percent(row['sparsity'], 0)}"
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return share
    return f"{share}, interval {100 * row['low']:.0f} to {percent(row['high'], 0)}"


def _over(seeds: int) -> str:
    if seeds < 2:
        return "One seed: no interval."
    return f"Intervals are of 95 %, over {seeds} seeds."
