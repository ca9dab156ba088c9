"""The report of a study: one HTML file that needs nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure

from analysis.checks import checklist_frame
from analysis.layer_densities import layer_density_data, plot_layer_densities
from analysis.loading import Results
from analysis.pareto import pareto_front
from analysis.rounds import plot_rounds
from analysis.sensitivity import plot_sensitivity, sensitivity_thresholds
from analysis.trade_off import pareto_data, plot_pareto
from study.errors import NothingToReportError
from study.records import STUDY_FILE
from study.storage import Folder

RATIOS = (2, 4, 8, 16, 32)
"""Compression ratios at which Blalock et al. 2020 ask for operating points."""

SCAN_DROP = 0.02
"""Drop in accuracy at which the scan's thresholds are reported."""

TOLERANCES = (0.0, 0.01, 0.02)


@dataclass(frozen=True)
class Table:
    """Cells as they are shown."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing, what it shows, and its data."""

    title: str
    finding: str
    svg: str
    table: Table | None


def write_report(results: Results, path: str | os.PathLike[str]) -> str:
    """Write the report of a study.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned; the study may still be running.
    path
        The file, local or a URI. The same study gives the same bytes.

    Returns
    -------
    str
        Where the report is.

    Raises
    ------
    NothingToReportError
        If no round was finished yet.
    """
    html = render_report(results)
    text = os.fspath(path)
    parent, _, name = text.rpartition("/")
    folder = Folder(parent or ".")
    folder.write(html, name)
    return text


def render_report(results: Results) -> str:
    """The report as HTML."""
    if results.rounds.empty:
        raise NothingToReportError(f"study {results.name!r} has no finished round to report yet")
    environment = Environment(
        loader=PackageLoader("analysis"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        name=results.name,
        headline=headline(results),
        figures=figures(results),
        points=operating_points(results),
        unfinished=unfinished(results),
        checklist=_table(checklist_frame(results)),
        problems=results.problems,
        run=_run(results),
        config=results.folders[0].read(STUDY_FILE).decode(),
    )


def headline(results: Results) -> list[str]:
    """What the study says of how far the network prunes, a sentence a tolerance."""
    rounds = results.rounds
    dense = rounds[rounds["round"] == 0]["val_accuracy"].mean()
    pruned = rounds[(rounds["round"] > 0) & rounds["val_accuracy"].notna()]
    if pruned.empty:
        return [f"No pruned network was finished yet. The dense one reaches {dense:.1%}."]
    sentences = []
    for tolerance in TOLERANCES:
        within = pruned[pruned["val_accuracy"] >= dense - tolerance - 1e-12]
        allowed = (
            "as good as dense" if tolerance == 0 else f"within {100 * tolerance:g} points of dense"
        )
        if within.empty:
            sentences.append(f"No network {allowed} ({dense:.1%}) was found.")
            continue
        best = within.sort_values(["density", "val_accuracy"], ascending=[True, False]).iloc[0]
        sentences.append(
            f"The smallest network {allowed} ({dense:.1%}) keeps {best['density']:.1%} of the "
            f"prunable weights at {best['val_accuracy']:.1%}: {best['compression_ratio']:.1f} x "
            f"smaller, {best['theoretical_speedup']:.1f} x fewer multiply-adds "
            f"(trial {best['trial_id']}, round {best['round']})."
        )
    return sentences


def operating_points(results: Results) -> Table:
    """The best network on the front within 25 % of each compression ratio."""
    front = pareto_front(results.rounds, {"val_accuracy": "max", "compression_ratio": "max"})
    front = front[front["round"] > 0]
    rows = []
    for ratio in RATIOS:
        near = front[(front["compression_ratio"] / ratio).between(0.8, 1.25)]
        if near.empty:
            rows.append([f"{ratio} x", "no network near it", *[""] * 5])
            continue
        best = near.sort_values("val_accuracy", ascending=False).iloc[0]
        rows.append(
            [
                f"{ratio} x",
                f"{best['compression_ratio']:.2f}",
                f"{best['theoretical_speedup']:.2f}",
                f"{best['density']:.4f}",
                f"{best['val_accuracy']:.4f}",
                f"{best['train_epochs']:g}",
                f"{best['trial_id']} round {best['round']}",
            ]
        )
    columns = ["near", "compression", "speedup", "density", "accuracy", "epochs", "network"]
    return Table(columns, rows)


def unfinished(results: Results) -> Table:
    """Trials that failed, were stopped, or still run, and why."""
    rows = results.trials[results.trials["status"] != "completed"]
    cells = [
        [_text(getattr(row, name)) for name in ("trial_id", "status", "stop_reason", "error")]
        for row in rows.itertuples()
    ]
    return Table(["trial", "status", "reason", "error"], cells)


def figures(results: Results) -> list[Figure]:
    """The figures that this study has data for."""
    points = pareto_data(results)
    front = points[points["on_front"]].sort_values("density")
    drawn = [
        Figure(
            "The trade-off",
            f"Each mark is a network after a round; {len(front)} of {len(points)} are on "
            "the front.",
            _svg(plot_pareto(results)),
            _table(front.drop(columns=["study", "on_front"])),
        ),
        Figure(
            "Round by round",
            "Each line is a trial, from the dense network on the left to its last round.",
            _svg(plot_rounds(results)),
            None,
        ),
    ]
    thresholds = sensitivity_thresholds(results, SCAN_DROP)
    if not thresholds.empty:
        most, least = thresholds.iloc[0], thresholds.iloc[-1]
        drawn.append(
            Figure(
                "How much each layer can take alone",
                f"Pruned alone and not retrained, {most['layer']} takes the most at a drop of "
                f"{100 * SCAN_DROP:g} points ({most['sparsity']:.0%} of its weights) and "
                f"{least['layer']} the least ({least['sparsity']:.0%}).",
                _svg(plot_sensitivity(results, SCAN_DROP)),
                _table(thresholds.drop(columns=["study"], errors="ignore")),
            )
        )
    layers = layer_density_data(results)
    if not layers.empty:
        kept = layers.mean(axis=1).sort_values()
        drawn.append(
            Figure(
                "What the best networks keep of each layer",
                f"On the front, {kept.index[0]} keeps the least ({kept.iloc[0]:.0%} on average) "
                f"and {kept.index[-1]} the most ({kept.iloc[-1]:.0%}).",
                _svg(plot_layer_densities(results)),
                None,
            )
        )
    return drawn


def _run(results: Results) -> dict[str, Any]:
    task = results.config.get("task", {})
    trials = results.trials
    spent = trials["train_epochs"].sum()
    provenance = results.provenance
    name = task.get("object") or f"{task.get('model')} on {task.get('dataset')}"
    facts = {
        "task": name,
        "command": " ".join(provenance.get("command", [])),
        "started (UTC)": provenance.get("started_at", ""),
        "machine": f"{provenance.get('cpus', '?')} CPUs, {provenance.get('platform', '')}",
        "GPUs": ", ".join(provenance.get("gpus", [])) or "none",
        "python": provenance.get("python", ""),
        **provenance.get("packages", {}),
        "commit": provenance.get("git_commit") or "not a working copy",
        "seeds": ", ".join(str(seed) for seed in sorted(results.rounds["seed"].unique())),
    }
    return {
        "task": name,
        "trials": f"{len(trials)} trials",
        "networks": int((results.rounds["round"] > 0).sum()),
        "epochs": f"{spent:g} epochs charged",
        "table": Table(["", ""], [[key, str(value)] for key, value in facts.items()]),
    }


def _svg(ax: Axes) -> str:
    """A figure as SVG that is the same each time."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "prune-study"}):
        figure = ax.get_figure()
        assert isinstance(figure, MatplotlibFigure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _table(frame: pd.DataFrame) -> Table:
    rows: Iterable[tuple[Any, ...]] = frame.itertuples(index=False, name=None)
    cells = [[str(_text(value)) for value in row] for row in rows]
    return Table(list(frame.columns), cells)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None or value is pd.NA else str(value)
