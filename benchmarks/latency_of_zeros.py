"""What zeros do for latency, and what channels do: nothing, and nearly what they promise.

Two small networks, dense, with 98 % of their weights at zero, and with half of their channels taken
out. The figure is the dense network's latency over the other's, measured in turns.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import Figure
from benchmarks.narrowed import DENSE, resnet8, vgg6
from study.pruning.latency.backends import Backend, ready
from study.pruning.latency.job import Job
from study.pruning.latency.turns import take_turns
from study.tasks.forward import call

NETWORKS = {"ResNet-8": resnet8, "VGG-6": vgg6}
BACKENDS: tuple[Backend, ...] = ("onnxruntime", "eager")
SPARSITY = 0.98


def measure(quick: bool = False) -> list[Figure]:
    """Measured speedups."""
    torch.manual_seed(0)
    inputs = torch.randn(1, 1, 28, 28)
    figures = []
    for backend in BACKENDS:
        for name, build in NETWORKS.items():
            dense = build()
            others = {
                "98 % zeros": _with_zeros(dense),
                "half of the channels": build([width // 2 for width in DENSE]),
            }
            jobs = {k: Job(v, inputs, call) for k, v in {"dense": dense, **others}.items()}
            with ready(jobs, backend=backend, threads=1) as (timed, _):
                rounds = [
                    take_turns(timed, repeats=50, warm_up=5, seed=seed)
                    for seed in range(3 if quick else 7)
                ]
            for other in others:
                ratios = [np.median(each["dense"]) / np.median(each[other]) for each in rounds]
                case = f"{name}, {backend}, {other}"
                figures.append(Figure.of(case, "x as fast as dense", [float(r) for r in ratios]))
    return figures


def _with_zeros(dense: nn.Module) -> nn.Module:
    pruned = copy.deepcopy(dense)
    with torch.no_grad():
        for weight in (p for p in pruned.parameters() if p.ndim > 1):
            weight.mul_(torch.rand_like(weight) >= SPARSITY)
    return pruned
