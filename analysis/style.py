"""How all figures look: colours for every eye, marks for grey print, units on the axes."""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart with any colour vision."""

LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

LABELS = {
    "density": "density (kept / prunable weights)",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "sparsity": "sparsity",
    "compression_ratio": "compression ratio (all / nonzero parameters)",
    "theoretical_speedup": "theoretical speedup (multiply-adds)",
    "macs": "multiply-adds per example",
    "nonzero_parameters": "nonzero parameters",
    "train_epochs": "training epochs, dense run included",
    "train_samples": "training examples seen, dense run included",
    "accuracy_drop": "drop in validation accuracy",
    "round": "round",
}


def label(column: str) -> str:
    """Name of a column on an axis."""
    return LABELS.get(column, column.replace("_", " "))


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    """The given axes, or those of a new figure that pyplot does not keep alive."""
    if ax is not None:
        return ax
    axes: Axes = Figure(figsize=(width, height), layout="constrained").add_subplot()
    return axes


def tidy(ax: Axes) -> Axes:
    """Take away what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax
