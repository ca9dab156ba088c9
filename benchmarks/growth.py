"""How cost grows with trials, rounds, layers and parameters: a small plot each.

Trials: what the searcher takes to draw the next plan, and to be told of a result. Rounds: a whole
pipeline. Layers: a round of a network of ever more layers of 32 units, without training.
Parameters: a masked training step of an ever wider network, beside the dense one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import optuna
import torch
from matplotlib.axes import Axes
from torch import nn

from benchmarks.measuring import interleaved_ms
from search_spaces import Layer, SearchSpace
from study.pruning import PruningPlan, mask_layers, run_pipeline, train_dense
from study.tasks import Task, make_task
from study.tasks.models import MODELS
from study.tuning.search.searcher import PlanSearcher

Curves = dict[str, list[float]]


def draw(folder: Path, quick: bool = False) -> Path:
    """Draw ``growth.png`` in a folder, and return its path."""
    torch.set_num_threads(1)
    panels: list[tuple[str, Sequence[int], Curves, str]] = [
        ("trials so far", *_trials(200 if quick else 2_000), "searcher, ms a trial"),
        ("rounds", *_rounds((1, 2, 4, 8, 16)), "pipeline, ms"),
        ("layers", *_layers((2, 4, 8, 16, 32, 64)), "a round without training, ms"),
        ("parameters", *_parameters((32, 128, 512, 1024)), "training step, ms"),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for ax, (name, sizes, curves, label) in zip(axes, panels, strict=True):
        _panel(ax, name, sizes, curves, label)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "growth.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def _panel(ax: Axes, name: str, sizes: Sequence[int], curves: Curves, label: str) -> None:
    for curve, values in curves.items():
        ax.plot(sizes, values, marker="o", markersize=3, label=curve)
    ax.set(xscale="log", yscale="log", xlabel=name, ylabel=label)
    ax.minorticks_off()
    ax.set_xticks(sizes, [_short(size) for size in sizes])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        ax.legend(frameon=False, fontsize="small")


def _short(size: int) -> str:
    return (
        f"{size:g}"
        if size < 1_000
        else f"{size / 1_000:.3g} k"
        if size < 1e6
        else f"{size / 1e6:.2g} M"
    )


def _trials(most: int) -> tuple[list[int], Curves]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    layers = tuple(Layer(f"fc{number}", 10_000, "linear") for number in (1, 2, 3))
    searcher = PlanSearcher(
        optuna.create_study(directions=["maximize", "minimize"]),
        SearchSpace(rounds=4, schedule="geometric"),
        layers,
        objectives=["val_accuracy", "density"],
        seed=0,
        trial_config={},
        num_samples=most,
    )
    times: Curves = {"draw": [], "be told": []}
    for number in range(most):
        name = str(number)
        begin = time.perf_counter()
        searcher.suggest(name)
        drawn = time.perf_counter()
        for round_ in range(5):
            density = 0.02 ** (round_ / 4)
            accuracy = 1 - 0.01 / density
            result = {
                "round": round_,
                "density": density,
                "val_accuracy": accuracy,
                "val_loss": 1 - accuracy,
                "train_samples": 1_000 * (round_ + 1),
            }
            searcher.on_trial_result(name, result)
        searcher.on_trial_complete(name, result)
        times["draw"].append((drawn - begin) * 1000)
        times["be told"].append((time.perf_counter() - drawn) * 1000)
    sizes = [size for size in (10, 30, 100, 300, 1_000, 2_000) if size <= most]
    near = {size: slice(size - max(size // 5, 3), size) for size in sizes}
    return sizes, {way: [median(t[near[size]]) for size in sizes] for way, t in times.items()}


def _rounds(sizes: Sequence[int]) -> tuple[Sequence[int], Curves]:
    task = _task(_mlp([64, 64]), 1_280)
    plans = [PruningPlan(sparsity=0.9, rounds=rounds, retrain_epochs=1) for rounds in sizes]
    dense = train_dense(task, plans[0].seeds)
    return sizes, {"": [_ms(lambda p=plan: list(run_pipeline(p, task, dense))) for plan in plans]}


def _layers(sizes: Sequence[int]) -> tuple[Sequence[int], Curves]:
    found = []
    for layers in sizes:
        task = _task(_mlp([32] * layers), 128)
        plan = PruningPlan(sparsity=0.9, retrain_epochs=0)
        dense = train_dense(task, plan.seeds)
        found.append(_ms(lambda p=plan, t=task, d=dense: list(run_pipeline(p, t, d))))
    return sizes, {"": found}


def _parameters(widths: Sequence[int]) -> tuple[list[int], Curves]:
    inputs, targets = torch.randn(128, 64), torch.randint(10, (128,))
    curves: Curves = {"dense": [], "masked": []}
    sizes = []
    for width in widths:
        models = {"dense": _mlp([width] * 3)(), "masked": _mlp([width] * 3)()}
        mask_layers(models["masked"])
        steps = {way: _step(model, inputs, targets) for way, model in models.items()}
        times = interleaved_ms(steps, repeats=5, inner=max(1, 20_000 // width**2))
        for way, values in times.items():
            curves[way].append(median(values))
        sizes.append(sum(parameter.numel() for parameter in models["dense"].parameters()))
    return sizes, curves


def _step(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def call() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return call


def _mlp(widths: Sequence[int]) -> Callable[[], nn.Module]:
    return lambda: MODELS["mlp"]((64,), 10, widths=widths)


def _task(model: Callable[[], nn.Module], examples: int) -> Task:
    inputs, targets = torch.randn(examples, 64), torch.randint(10, (examples,))
    return make_task(model, (inputs, targets), (inputs, targets), epochs=1, lr=0.01)


def _ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    return median(times)
