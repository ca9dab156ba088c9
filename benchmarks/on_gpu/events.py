"""The project's latency on a GPU, by events, against the clock of the CPU around the same calls.

The clock starts before a call is sent off and stops when all of it is done, so events, which lie
between, can't say more but for noise. What they lack is the way to the GPU and back; of a large
batch that is nothing, and the two must agree within a tenth.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from benchmarks.measuring import Figure
from benchmarks.on_gpu.setting import CLASSES, Found, Setting
from study.pruning import measure_latency
from study.pruning.latency.backends import Backend
from study.tasks.models import MODELS

CALL = "torch.cuda.Event"


def check(setting: Setting) -> Found:
    """Measure ResNets of two depths with both clocks, one image and a large batch."""
    models, shape = setting.pick(
        (("resnet56", "resnet20"), (3, 32, 32)), (("lenet300", "mlp"), (1, 8, 8))
    )
    torch.manual_seed(0)
    networks = {name: MODELS[name](shape, CLASSES).to(setting.device).eval() for name in models}
    figures: list[Figure] = []
    for batch in setting.pick((1, 2_048), (2,)):
        figures += _compare(setting, networks, torch.randn(batch, *shape, device=setting.device))
    return Found(tuple(figures), skipped=() if setting.on_gpu else (CALL,))


def _compare(
    setting: Setting, networks: dict[str, nn.Module], inputs: torch.Tensor
) -> list[Figure]:
    """Times by both clocks, and by how much a network is faster than another by each."""
    repeats = setting.pick(20, 2)
    backend: Backend = "cuda" if setting.on_gpu else "eager"
    rounds = setting.pick(3, 1)
    by_events: dict[str, list[float]] = {name: [] for name in networks}
    by_clock: dict[str, list[float]] = {name: [] for name in networks}
    for seed in range(rounds):
        found = measure_latency(networks, inputs, backend=backend, repeats=repeats, seed=seed)
        for name, network in networks.items():
            by_events[name].append(found[name].median_ms)
            by_clock[name].append(_clock_ms(setting, network, inputs, repeats))
    figures = []
    for name in networks:
        shares = [e / c for e, c in zip(by_events[name], by_clock[name], strict=True)]
        who, large = f"{name}, batch {len(inputs)}", len(inputs) > 1
        limits = (">= 0.9", "<= 1.1") if setting.on_gpu and large else ("", "")
        if setting.on_gpu and not large:
            limits = ("", "<= 1.1")
        figures += [
            Figure.of(f"{who}: by {backend}", "ms", by_events[name]),
            *(
                Figure.of(f"{who}: by {backend}", "x the clock's", shares, limit)
                for limit in dict.fromkeys(limits)
            ),
        ]
    slow, fast = networks
    figures += [
        Figure.of(
            f"{fast}, batch {len(inputs)}, by {who}",
            f"x as fast as {slow}",
            [a / b for a, b in zip(times[slow], times[fast], strict=True)],
        )
        for who, times in ((backend, by_events), ("the clock", by_clock))
    ]
    return figures


def _clock_ms(setting: Setting, network: nn.Module, inputs: torch.Tensor, repeats: int) -> float:
    """Median of the time from before a call until all of it is done."""
    taken_ms = []
    with torch.inference_mode():
        for _ in range(repeats + 3):
            setting.wait()
            begin_ns = time.perf_counter_ns()
            network(inputs)
            setting.wait()
            taken_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return statistics.median(taken_ms[3:])
