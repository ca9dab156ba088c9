"""Which layers can take it: alone, and in the networks that the search found."""

from __future__ import annotations

import math

import pandas as pd

from analysis.layers.layer_densities import layer_density_data, plot_layer_densities
from analysis.layers.sensitivity import (
    MOST_CURVES,
    plot_sensitivity,
    plot_sensitivity_map,
    sensitivity_map_data,
    sensitivity_thresholds,
)
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, as_table
from analysis.reporting.page.drawing import figure
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
    tables = []
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
            f"Pruned alone and not retrained, {most['layer']} takes the most of its weights "
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
