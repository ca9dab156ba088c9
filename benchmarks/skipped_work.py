"""Training steps that leave pruned weights out, against those of the whole masked network.

Units: all layers but the last keep a share of their units; what comes next has the columns of the
others pruned, as when units are pruned. Weights: a network that was pruned by global magnitude,
where dead columns come by themselves, and whose dense layers can be sparse matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning import PruningPlan, run_pipeline
from study.pruning.compact.network import Limits, compact_copy, smaller_forms
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.training.updates import Update
from study.tasks import load_task
from study.tasks.models import MODELS
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe

UNITS = Limits(linear_units=1.0, conv_units=1.0, sparse_density=0.0)
SPARSE = Limits(linear_units=0.0, conv_units=0.0, sparse_density=1.0)
RECIPE = Recipe(lr=0.01)
CASES = {
    "LeNet-300-100": ("lenet300", (784,), 20),
    "small CNN": ("small_cnn", (1, 28, 28), 2),
    "VGG-16": ("vgg16", (3, 32, 32), 1),
}


def measure(quick: bool = False) -> list[Figure]:
    """Time of a step of the whole network, over that of the compact one."""
    torch.set_num_threads(1)
    figures = []
    for name, (model_name, shape, inner) in CASES.items():
        for share in (0.75, 0.5, 0.25, 0.125):
            torch.manual_seed(0)
            masked = mask_layers(MODELS[model_name](shape, 10))
            _prune_units(masked, share)
            inputs, targets = torch.randn(128, *shape), torch.randint(10, (128,))
            case = f"{name}, {share:.3g} of the units"
            repeats = 3 if quick or model_name == "vgg16" else 11
            figures.append(_figure(case, masked, inputs, targets, repeats, inner, UNITS))
    return figures + _by_magnitude(3 if quick else 11)


class _AtDensity:
    """Keeps the steps' times of a network when a pipeline comes by."""

    def __init__(self, repeats: int) -> None:
        self.figures: list[Figure] = []
        self._repeats = repeats

    def checkpoint(self, progress: object) -> None:
        pass

    def round_finished(self, record: object, masked: MaskedLayers, progress: object) -> None:
        density = record.density  # type: ignore[attr-defined]
        if density == 1:
            return
        torch.manual_seed(0)
        inputs, targets = torch.randn(128, 1, 28, 28), torch.randint(10, (128,))
        for what, limits in {"units": UNITS, "weights": SPARSE, "default": Limits()}.items():
            case = f"LeNet-300-100 by magnitude, density {density:.2g}, {what}"
            if smaller_forms(masked, limits):
                repeats = self._repeats
                self.figures.append(_figure(case, masked, inputs, targets, repeats, 20, limits))


def _by_magnitude(repeats: int) -> list[Figure]:
    task = load_task(dataset="mnist5k", model="lenet300", recipe={"epochs": 5})
    plan = PruningPlan(sparsity=0.99, rounds=6, allocation="global", retrain_epochs=1)
    observer = _AtDensity(repeats)
    list(run_pipeline(plan, task, observer=observer))  # type: ignore[arg-type]
    return observer.figures


def _prune_units(masked: MaskedLayers, share: float) -> None:
    masks = {name: mask.clone() for name, mask in masked.masks.items()}
    names = list(masks)
    for name, after in pairwise(names):
        units = masks[name].shape[0]
        dead = torch.randperm(units)[max(1, round(units * share)) :]
        masks[name][dead] = False
        each = masks[after].shape[1] // units  # places that flattening makes of one channel
        masks[after].view(masks[after].shape[0], units, each, -1)[:, dead] = False
    masked.cut(masks, optimizer=None)


def _figure(
    case: str,
    masked: MaskedLayers,
    inputs: Tensor,
    targets: Tensor,
    repeats: int,
    inner: int,
    limits: Limits,
) -> Figure:
    optimizer = build_optimizer(RECIPE, masked.model)
    compact = compact_copy(masked, optimizer, RECIPE, limits)
    times = interleaved_ms(
        {
            "whole": _step(masked.model, optimizer, inputs, targets),
            "compact": _step(compact.model, compact.optimizer, inputs, targets),
        },
        repeats,
        inner,
    )
    return Figure.of(case, "x whole", ratios(times["whole"], times["compact"]))


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor
) -> Callable[[], None]:
    update = Update(optimizer)

    def call() -> None:
        update.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        update.step(0.001)

    return call
