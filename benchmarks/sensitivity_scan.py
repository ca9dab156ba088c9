"""A sensitivity scan that evaluates only what comes after a layer, against whole evaluations."""

from __future__ import annotations

import torch

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning.seeds import Seeds
from study.pruning.sensitivity.weights import scan
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import build_model
from study.tasks import make_task
from study.tasks.models import MODELS

CASES = {
    "LeNet-300-100, 3 layers, 2,000 examples": ("lenet300", (784,), 2_000),
    "LeNet-5, 4 layers, 500 examples": ("lenet5", (1, 28, 28), 500),
    "small CNN, 4 layers, 500 examples": ("small_cnn", (1, 28, 28), 500),
}


def measure(quick: bool = False) -> list[Figure]:
    """Time of a scan without the caching, over that with it."""
    figures = []
    for name, (model, shape, examples) in CASES.items():
        inputs, targets = torch.randn(examples, *shape), torch.randint(10, (examples,))
        task = make_task(
            lambda model=model, shape=shape: MODELS[model](shape, 10),
            (inputs[:128], targets[:128]),
            (inputs, targets),
        )
        seeds = Seeds(0, 0, 0)
        state = TrainState(build_model(task, 0).state_dict(), {})
        times = interleaved_ms(
            {
                way: lambda task=task, state=state, seeds=seeds, way=way: scan(
                    task, state, seeds, suffix_only=way == "suffix"
                )
                for way in ("suffix", "whole")
            },
            repeats=2 if quick else 5,
        )
        found = ratios(times["whole"], times["suffix"])
        figures.append(Figure.of(name, "x with suffixes only", found))
    return figures
