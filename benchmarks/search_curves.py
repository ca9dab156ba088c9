"""Hypervolume over cost, and how much less of it one method needs than another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.fronts.staircase import area_history
from study.volume import Axis, Volume

Study = list[dict[str, float]]
Studies = Mapping[str, Mapping[int, Study]]

VOLUME = Volume((Axis("accuracy", 0.5, 1.0, False), Axis("density", 1.0, 0.01, True)))
"""From accuracy 0.5 and density 1. Density counts by its ratio down to 0.01, as is usual for
compression, and the volume of the whole rectangle is one."""


def volumes(study: Study, cost: str) -> tuple[np.ndarray, np.ndarray]:
    """Cost so far and hypervolume after each point, in the order in which they were found."""
    rows = sorted(study, key=lambda point: point[cost])
    values = np.array([[point["accuracy"], point["density"]] for point in rows])
    grown, areas = area_history(VOLUME.costs(values), np.ones(2))
    found = np.append(0.0, areas)[np.searchsorted(grown, np.arange(len(rows)), side="right")]
    return np.array([point[cost] for point in rows]), found


def cost_to_reach(study: Study, target: float, cost: str) -> float:
    """Cost at which a hypervolume was first reached; infinite if it never was."""
    costs, found = volumes(study, cost)
    reached = np.flatnonzero(found >= target - 1e-12)
    return float(costs[reached[0]]) if len(reached) else float("inf")


def between(study: Study) -> Study:
    """The networks between the rounds, which the naive study throws away."""
    return [
        {"samples": samples, "wall_s": point["wall_s"], "accuracy": accuracy, "density": density}
        for point in study
        for samples, accuracy, density in point.get("between", [])  # type: ignore[union-attr]
    ]


def table(studies: Studies, against: str = "naive") -> pd.DataFrame:
    """For each method: final hypervolume, and by how much less cost it reached naive's."""
    everything = dict(studies)
    if against in studies:
        everything["naive, rounds counted"] = {s: between(v) for s, v in studies[against].items()}
    rows = []
    for name, by_seed in everything.items():
        finals = [volumes(study, "samples")[1][-1] for study in by_seed.values()]
        row = {"method": name, "seeds": len(finals), "hypervolume": float(np.median(finals)),
               "examples": float(np.median([s[-1]["samples"] for s in by_seed.values()])),
               "wall_s": float(np.median([s[-1]["wall_s"] for s in by_seed.values()]))}  # fmt: skip
        for cost, label in (("samples", "examples"), ("wall_s", "wall")):
            ratios = [
                studies[against][seed][-1][cost]
                / cost_to_reach(study, volumes(studies[against][seed], "samples")[1][-1], cost)
                for seed, study in by_seed.items()
                if seed in studies.get(against, {})
            ]
            row[f"{label}_ratio"] = float(np.median(ratios)) if ratios else float("nan")
            row[f"{label}_low"] = min(ratios, default=float("nan"))
            row[f"{label}_high"] = max(ratios, default=float("nan"))
        rows.append(row)
    return pd.DataFrame(rows).sort_values("hypervolume", ascending=False, ignore_index=True)


SHOWN = {
    "ours": ("this project", "#0072B2", "-"),
    "naive": ("Ray Tune + Optuna + nn.utils.prune", "#D55E00", "--"),
    "naive-random": ("the same, random search", "#E69F00", ":"),
    "ours-random": ("this project, random sampler", "#56B4E9", "-."),
    "sweep": ("uniform sweep by hand", "#000000", "-"),
}
"""How each method is named and drawn."""


def draw(studies: Studies, path: Path, task: str) -> None:
    """Median hypervolume over examples and over wall time, with the range of the seeds."""
    figure = Figure(figsize=(9.5, 3.9), layout="constrained")
    for ax, cost, label in zip(
        figure.subplots(1, 2, sharey=True),
        ("samples", "wall_s"),
        ("training examples seen", "wall time (s), Ray running"),
        strict=True,
    ):
        for name, (said, colour, line) in SHOWN.items():
            if name not in studies:
                continue
            runs = [volumes(study, cost) for study in studies[name].values()]
            first, last = min(c[0] for c, _ in runs), max(c[-1] for c, _ in runs)
            grid = np.geomspace(max(first, 1e-3), last, 300)
            curves = np.array([_at(grid, *each) for each in runs])
            ax.plot(grid, np.median(curves, axis=0), line, color=colour, label=said)
            ax.fill_between(grid, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15)
        ax.set(xscale="log", xlabel=label)
        ax.grid(alpha=0.3)
    seeds = max((len(by_seed) for by_seed in studies.values()), default=0)
    figure.axes[0].set_ylabel("hypervolume (log density, accuracy above 0.5)")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"LeNet-300-100 on {task}: median and range of {seeds} seeds")
    figure.savefig(path, dpi=140)


def _at(grid: np.ndarray, costs: np.ndarray, found: np.ndarray) -> np.ndarray:
    places = np.searchsorted(costs, grid, side="right") - 1
    return np.where(places >= 0, found[np.maximum(places, 0)], 0.0)
