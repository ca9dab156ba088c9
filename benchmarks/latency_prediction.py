"""How well a table of layers says what a network takes.

Networks with widths in multiples of 8, on images of 28 x 28, one at a time, one thread: predicted
from the times of their layers, which are measured beforehand, against measured beside the dense
network. Beside it, what multiply-adds say: the dense network's time, times the share of its
multiply-adds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import Figure
from benchmarks.narrowed import drawn_widths, resnet8, vgg6
from study.pruning.latency.backends import Backend
from study.pruning.latency.measuring import measure_latency
from study.pruning.latency.prediction import predict_latency, scale_of
from study.pruning.latency.table import LayerTable

NETWORKS: dict[str, Callable[..., nn.Module]] = {"ResNet-8": resnet8, "VGG-6": vgg6}
BACKENDS: tuple[Backend, ...] = ("onnxruntime", "eager")


def measure(quick: bool = False) -> list[Figure]:
    """Errors in percent of what was measured."""
    figures = []
    for backend in BACKENDS:
        for name, build in NETWORKS.items():
            figures += _errors(f"{name}, {backend}", build, backend, 4 if quick else 12)
    return figures


def _errors(case: str, build: Callable[..., nn.Module], backend: Backend, n: int) -> list[Figure]:
    torch.manual_seed(0)
    dense, inputs = build().eval(), torch.randn(1, 1, 28, 28)
    narrow = {str(number): build(w).eval() for number, w in enumerate(drawn_widths(n))}
    with tempfile.TemporaryDirectory() as folder:
        table = LayerTable(backend, folder=folder)
        predict_latency(nn.Sequential(dense, *narrow.values()), inputs, table, run=_each)
        found = measure_latency({"dense": dense, **narrow}, inputs, backend=backend)
        dense_ms = found["dense"].median_ms
        scale = scale_of(dense, dense_ms, inputs, table)
        ways: dict[str, Callable[[nn.Module], float]] = {
            "sum of layers": partial(predict_latency, inputs=inputs, table=table),
            "sum, scaled to dense": partial(
                predict_latency, inputs=inputs, table=table, scale=scale
            ),
            "multiply-adds": lambda model: (
                dense_ms * _multiply_adds(model, inputs) / _multiply_adds(dense, inputs)
            ),
        }
        return [
            Figure.of(
                f"{case}, {way}",
                "% error",
                [
                    100 * abs(predict(model) / found[name].median_ms - 1)
                    for name, model in narrow.items()
                ],
                "<= 3" if way == "sum of layers" and backend == "onnxruntime" else "",
            )
            for way, predict in ways.items()
        ]


def _each(networks: nn.Module, inputs: torch.Tensor) -> None:
    """Run networks beside each other, so that the layers of all are measured in turns."""
    for network in networks.children():
        network(inputs)


def _multiply_adds(model: nn.Module, inputs: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(inputs)
    return counter.get_total_flops() / 2
