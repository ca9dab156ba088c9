"""How much smaller and faster networks are when what is dead in them is left out."""

from __future__ import annotations

import pandas as pd

from analysis.layers.widths import layer_widths, plot_widths
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, as_table, count
from analysis.reporting.page.drawing import figure
from analysis.spending.latency import clock_of, measured_latency, plot_latency
from analysis.spending.predicted_latency import plot_predicted_latency, predicted_latency
from analysis.statistics.replicates import searched
from study.telling import percent

FASTEST = 8
"""Rows of the table of latencies."""


def smaller(results: Results) -> Section:
    """Widths of the layers where units were taken out, and latency where it was measured."""
    results = searched(results)
    figures: list[Figure] = []
    tables: list[Table] = []
    missing: list[str] = []
    if results.takes_units_out:
        widths = layer_widths(results)
        if widths.empty:
            missing.append("No pruned network is on the front, so there are no widths to tell.")
        else:
            narrowest = widths[widths.columns[-1]] / widths["dense"]
            finding = (
                f"In the smallest network on the front {narrowest.idxmin()} keeps the least of "
                f"its units ({percent(narrowest.min(), 0)})."
            )
            figures.append(figure(finding, plot_widths(results), widths.reset_index()))
            tables.append(as_table("Output units of each layer", widths.reset_index()))
    else:
        missing.append(_of_entries(results.structures))
    timed = measured_latency(results)
    if timed.empty:
        missing.append('No latency was measured: backend = "onnxruntime" under [latency].')
    else:
        how = clock_of(results)
        slower = int((timed["speedup_measured"] < 1).sum())
        finding = (
            f"Measured in {how['backend']}, batches of {how['batch_size']}, "
            f"{count(how['threads'], 'thread')}: the median network reaches "
            f"{percent(timed['share_of_promise'].median(), 0)} of the speedup that its "
            f"multiply-adds promise"
            + (f"; {slower} of {len(timed)} are slower than dense." if slower else ".")
        )
        figures.append(figure(finding, plot_latency(results), timed))
        predicted = predicted_latency(results)
        if len(predicted):
            figures.append(
                figure(_prediction(predicted), plot_predicted_latency(results), predicted)
            )
        tables.append(as_table("The fastest networks", timed.drop(columns="study").head(FASTEST)))
    return Section(
        "smaller", "How much smaller and faster is it really?", [], figures=figures,
        tables=tables, missing=missing,
    )  # fmt: skip


def _of_entries(structures: tuple[str, ...]) -> str:
    """What zeros are good for that leave no unit out."""
    regular = [each for each in structures if each != "weights"]
    if not regular:
        return (
            "Single weights were removed: their zeros make a file smaller, and nothing faster. "
            'structure = "channels" under [space] makes networks really smaller.'
        )
    return (
        f"Zeros of a regular form were made ({', '.join(regular)}): a file gets smaller, and a "
        "network faster only where its kernels know the form, such as 2:4 on a GPU's sparse tensor "
        'cores. structure = "channels" under [space] makes networks really smaller.'
    )


def _prediction(predicted: pd.DataFrame) -> str:
    """How far predictions were off."""
    off = predicted["error"].abs()
    side = "quicker" if predicted["error"].median() < 0 else "slower"
    return (
        f"By the times of their layers, known before they trained, the latency of "
        f"{count(len(predicted), 'network')} was predicted with a median error of "
        f"{percent(off.median(), 1)} (largest {percent(off.max(), 1)}; most were predicted to be "
        f"{side} than measured)."
    )
