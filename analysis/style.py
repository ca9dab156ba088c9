"""How all figures look: colours for every eye, marks for grey print, units on the axes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from study.visible import visible

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart with any colour vision."""

LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

MANY = 5_000
"""Marks beyond which they are rasterised: a vector graphic would not open."""

TOO_MANY = 50_000
"""Marks beyond which they are counted in bins."""

MOST_NAMES_INSIDE = 7
"""Names in a legend up to which it lies over the drawing."""

BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
"""Where a legend hides nothing, if the figure has room for it."""

LONGEST_NAME = 26
"""Letters of a layer's name on an axis."""

LABELS = {
    "compression_ratio": "compression ratio (all / nonzero parameters)",
    "density": "density (kept / prunable weights)",
    "elapsed_s": "time since the study began (s)",
    "hypervolume": "hypervolume",
    "latency_ms": "latency (ms a batch)",
    "macs": "multiply-adds per example",
    "predicted_latency_ms": "predicted latency (ms a batch)",
    "networks": "networks evaluated",
    "nonzero_parameters": "nonzero parameters",
    "retrain": "retraining",
    "round": "round (0 is dense)",
    "sparsity": "sparsity (removed / prunable weights)",
    "theoretical_speedup": "theoretical speedup (dense / remaining multiply-adds)",
    "speedup_measured": "measured speedup (dense / own latency)",
    "train_epochs": "training epochs, dense run included",
    "train_samples": "training examples seen, dense run included",
    "trials": "trials",
    "wall_s": "time of the trial (s)",
}

LOG_AXES = (
    "density",
    "compression_ratio",
    "latency_ms",
    "macs",
    "nonzero_parameters",
    "speedup_measured",
    "theoretical_speedup",
)

_FIRST = ("finetune", "lr_rewind", "weight_rewind", "reinit", "geometric", "constant", "cubic")
"""Names that look the same in every figure, whatever else is in it."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one group."""

    colour: str
    marker: str
    line: Literal["-", "--", "-.", ":"]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """How each group is drawn: told apart by colour, and in grey by marker and line."""
    unique = sorted(set(names), key=lambda name: (name not in _FIRST, name))
    known = {name: number % 4 for number, name in enumerate(_FIRST)}
    taken = {known[name] for name in unique if name in known}
    if len(taken) < sum(name in known for name in unique):
        taken, known = set(), {}
    free = (number for number in range(10**6) if number not in taken)
    return {name: look(known[name] if name in known else next(free)) for name in unique}


def look(number: int) -> Look:
    """The look of the group with this number."""
    return Look(
        COLOURS[number % len(COLOURS)],
        MARKERS[number % len(MARKERS)],
        LINES[number % len(LINES)],
    )


def label(column: str) -> str:
    """Name of a column on an axis, with its unit; of a metric's, with its split."""
    for prefix, split in (("val_", "validation "), ("test_", "test ")):
        if column.startswith(prefix):
            return split + column.removeprefix(prefix).replace("_", " ")
    return LABELS.get(column, column.replace("_", " "))


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    """The given axes, or those of a new figure.

    A new figure belongs to pyplot where that can show it: in a notebook or on a screen. Without
    either it belongs to nobody but the caller, and does not pile up: ``ax.figure.savefig(...)``.
    """
    if ax is not None:
        return ax
    if matplotlib.get_backend().lower() == "agg":
        axes: Axes = Figure(figsize=(width, height), layout="constrained").add_subplot()
        return axes
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def tidy(ax: Axes) -> Axes:
    """Take away what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def dots(ax: Axes, x: pd.Series, y: pd.Series) -> None:
    """Draw networks of one kind, a dot each."""
    style = look(0)
    ax.scatter(x, y, s=16, alpha=0.7, linewidths=0, color=style.colour, marker=style.marker,
               label="networks", rasterized=len(x) > MANY)  # fmt: skip


def legend(ax: Axes, **options: Any) -> None:
    """Name what is drawn, over the drawing where there is room, beside it where there is much."""
    handles = options.pop("handles", None)
    count = len(handles if handles is not None else ax.get_legend_handles_labels()[0])
    if handles is not None:
        options["handles"] = handles
    if count > MOST_NAMES_INSIDE:
        options |= BESIDE
    if count:
        ax.legend(
            fontsize="small",
            title_fontsize="small",
            framealpha=0.8,
            edgecolor="none",
            borderpad=0.2,
            **options,
        )


def entitle(ax: Axes, text: str) -> None:
    """Put a line above the drawing."""
    ax.set_title(text, fontsize="medium", loc="left")


def counted(count: int, name: str) -> str:
    """A count with its noun: 1 trial, 2 trials."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A name that leaves room for the drawing: of a long one, its end."""
    return plain(name if len(name) <= most else "…" + name[1 - most :])


def plain(name: str) -> str:
    """A name as a drawing shows it, whatever is in it.

    It is no formula, though it has dollars; and a legend leaves out what begins with an underscore,
    which a space before it prevents.
    """
    safe = visible(name).replace("$", r"\$")
    return f" {safe}" if safe.startswith("_") else safe


def say(ax: Axes, text: str) -> Axes:
    """Instead of a drawing: why there is none."""
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=ax.transAxes)
    ax.set_axis_off()
    return ax


def log_axis(ax: Axes, axis: Literal["x", "y"] = "x") -> None:
    """Make an axis logarithmic, with plain round numbers, closer where its range is short."""
    this = ax.xaxis if axis == "x" else ax.yaxis
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    low, high = sorted(ax.get_xlim() if axis == "x" else ax.get_ylim())
    if not (np.isfinite([low, high]).all() and low > 0):
        return
    powers = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 4:
            break
    if len(inside) < 3:
        inside = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    this.set_major_locator(FixedLocator(inside))
    this.set_minor_locator(NullLocator())
    this.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    this.set_minor_formatter(NullFormatter())
