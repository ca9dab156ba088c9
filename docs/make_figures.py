"""Draws the figures of concepts.md from the project itself: ``python docs/make_figures.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from study.pruning import mask_layers
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.selection.schedule import SCHEDULES
from study.tasks import load_task

FIGURES = Path(__file__).parent / "figures"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = "os^Dv"
ROUNDS, FINAL = 6, 0.95
ALLOCATIONS = ("uniform", "global", "erk", "lamp")


def schedules() -> Figure:
    """Sparsity after each round."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    ax = figure.subplots()
    shown = ("geometric", "constant", "cubic", "cosine", "one_shot")
    for name, colour, marker in zip(shown, COLOURS, MARKERS, strict=True):
        rounds = [0, 1] if name == "one_shot" else list(range(ROUNDS + 1))
        levels = [0.0 if k == 0 else SCHEDULES[name](k, rounds[-1], FINAL) for k in rounds]
        ax.plot(rounds, levels, marker=marker, color=colour, label=name)
    ax.set(xlabel="round", ylabel="sparsity", ylim=(0, 1))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def allocations() -> Figure:
    """Density of each layer of a small CNN at a total density of a tenth."""
    torch.manual_seed(0)
    task = load_task(dataset="digits", model="small_cnn")
    masked = mask_layers(task.build_model())
    scores = {layer: weight.detach().abs() for layer, weight in masked.weights.items()}
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    ax = figure.subplots()
    places, width = np.arange(len(scores)), 0.2
    for number, (name, colour) in enumerate(zip(ALLOCATIONS, COLOURS, strict=False)):
        cut = allocate(name, Request(scores, masked.masks, 0.9))
        densities = [float(mask.float().mean()) for mask in cut.masks.values()]
        ax.bar(places + (number - 1.5) * width, densities, width, color=colour, label=name)
    ax.set_xticks(places, list(scores))
    ax.set(
        ylabel="density of the layer",
        yscale="log",
        xlabel="layer of a small CNN, total density 0.1",
    )
    ax.grid(alpha=0.3, axis="y")
    ax.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    return figure


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    for draw in (schedules, allocations):
        draw().savefig(FIGURES / f"{draw.__name__}.png", dpi=110)
