"""The table and the picture of what was run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.search.tasks import SETTINGS
from benchmarks.search.volumes import Network, Split, volume_at, volumes

Runs = Mapping[str, Mapping[int, list[Network]]]
"""Networks by method and seed."""

SHOWN = {
    "naive": ("Ray Tune + Optuna + nn.utils.prune", "#D55E00", "--"),
    "textbook": ("one textbook run", "#000000", "-"),
    "sweep": ("sweep of 14 textbook runs", "#009E73", "-."),
    "tpe": ("this project, TPE", "#56B4E9", ":"),
    "per_layer": ("TPE, a level for each layer", "#CC79A7", ":"),
    "projected": ("TPE, shares of a total", "#F0E442", ":"),
    "nsga2": ("NSGA-II", "#E69F00", ":"),
    "gp": ("Gaussian process", "#8B4513", ":"),
    "random": ("random plans", "#999999", ":"),
    "no_stops": ("TPE, no early stopping", "#56B4E9", "--"),
    "mo_asha": ("TPE, MO-ASHA", "#56B4E9", "-."),
    "extend": ("TPE, leaders lengthened", "#56B4E9", "-"),
    "product": ("this project, by stages", "#0072B2", "-"),
}
"""How each method is named and drawn."""


@dataclass(frozen=True)
class Line:
    """A method on a task: what it reached, and what the product reached for the same examples.

    Parameters
    ----------
    method
        A key of :data:`SHOWN`.
    samples, wall_s, validation, test
        One value a seed. The volumes are those of all that was found.
    lead
        Of each seed, the product's test volume after as many training examples, minus the
        method's. Empty for the product itself.
    """

    method: str
    samples: list[float]
    wall_s: list[float]
    validation: list[float]
    test: list[float]
    lead: list[float]


def lines(runs: Runs) -> list[Line]:
    """Every method's line."""
    found = []
    for method, by_seed in runs.items():
        seeds = sorted(by_seed)
        last = {seed: by_seed[seed][-1] for seed in seeds}
        ends = {s: tuple(_at_end(by_seed[s], split) for split in ("accuracy", "test"))
                for s in seeds}  # fmt: skip
        lead = []
        for seed in seeds if method != "product" else []:
            product = runs.get("product", {}).get(seed)
            if product is not None:
                lead.append(volume_at(product, last[seed].samples, "test") - ends[seed][1])
        found.append(
            Line(
                method,
                samples=[last[seed].samples for seed in seeds],
                wall_s=[last[seed].wall_s for seed in seeds],
                validation=[ends[seed][0] for seed in seeds],
                test=[ends[seed][1] for seed in seeds],
                lead=lead,
            )
        )
    return found


def markdown(task: str, found: Iterable[Line]) -> str:
    """The table of a task."""
    rows = [
        f"**{SETTINGS[task].title}**",
        "",
        "| | seeds | examples | wall | validation | test | product minus it, test | product wins |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in found:
        lead = _spread(line.lead, "{:+.4f}".format) if line.lead else ""
        cells = (
            SHOWN[line.method][0],
            str(len(line.test)),
            _spread([each / 1e6 for each in line.samples], "{:.2f} M".format, ranged=False),
            _spread(line.wall_s, "{:.0f} s".format, ranged=False),
            _spread(line.validation, "{:.4f}".format),
            _spread(line.test, "{:.4f}".format),
            lead,
            _wins(line.lead),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def draw(tasks: Mapping[str, Runs], path: Path) -> None:
    """Median test volume over training examples, with the range of the seeds; a panel a task."""
    figure = Figure(figsize=(4.6 * len(tasks), 3.9), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for ax, (task, runs) in zip(panels, tasks.items(), strict=True):
        for method, by_seed in runs.items():
            said, colour, line = SHOWN[method]
            grid, curves = _curves(list(by_seed.values()))
            ax.plot(grid, np.median(curves, axis=0), line, color=colour, label=said)
            ax.fill_between(grid, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15)
        ax.set(xscale="log", xlabel="training examples seen", title=SETTINGS[task].title)
        ax.title.set_fontsize(9)
        ax.xaxis.set_minor_formatter(NullFormatter())  # they would overlap
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("volume on test data of the validation front")
    panels[0].legend(frameon=False, fontsize=7, loc="lower right")
    figure.savefig(path, dpi=140)


def _curves(studies: list[list[Network]]) -> tuple[np.ndarray, np.ndarray]:
    """Volumes of each seed at common numbers of examples, from the first network of all on."""
    costs = [np.array([network.samples for network in study]) for study in studies]
    heights = [volumes(study, "test") for study in studies]
    first, last = max(cost[0] for cost in costs), max(cost[-1] for cost in costs)
    grid = np.geomspace(first, last, 300)
    grid[0], grid[-1] = first, last  # not a rounding below them
    places = [np.searchsorted(cost, grid, side="right") - 1 for cost in costs]
    return grid, np.array([height[place] for height, place in zip(heights, places, strict=True)])


def _at_end(networks: list[Network], split: Split) -> float:
    return volume_at(networks, np.inf, split)


def _spread(values: list[float], say: Callable[[float], str], ranged: bool = True) -> str:
    """Median, and the range where there is one."""
    middle = say(float(np.median(values)))
    if not ranged or len(values) == 1:
        return middle
    return f"{middle} ({say(min(values))} to {say(max(values))})"


def _wins(lead: list[float]) -> str:
    if not lead:
        return ""
    equal = sum(each == 0 for each in lead)
    said = f"{sum(each > 0 for each in lead)} of {len(lead)}"
    return f"{said}, {equal} equal" if equal else said
