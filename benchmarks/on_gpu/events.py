"""The project's latency on a GPU, by events, against the clock of the CPU around the same calls.

The clock starts before a call is sent off and stops when all of it is done, so events, which lie
between, can't say more but for noise. What they lack is the way to the GPU and back; of a large
batch that is nothing, and the two must agree within a tenth.
"""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import CLASSES, Found, Setting
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


def _compare(setting: Setting, networks: dict[str, nn.Module], inputs: Tensor) -> list[Figure]:
    """Times by both clocks, and by how much a network is faster than another by each."""
    backend = "events" if setting.on_gpu else "the eager backend"
    clocks = {
        f"{name} by the clock": partial(_by_the_clock, setting, network, inputs)
        for name, network in networks.items()
    }
    found = setting.latencies_ms(networks, inputs, clocks)
    figures = []
    for name in networks:
        times, by_clock = found[name], found[f"{name} by the clock"]
        who = f"{name}, batch {len(inputs)}"
        figures += [
            Figure.of(f"{who}: by {backend}", "ms", times),
            *(
                Figure.of(f"{who}: by {backend}", "x the clock's", ratios(times, by_clock), goal)
                for goal in _goals(setting, len(inputs))
            ),
        ]
    slow, fast = networks
    return [
        *figures,
        *(
            Figure.of(
                f"{fast}, batch {len(inputs)}, by {who}",
                f"x as fast as {slow}",
                ratios(found[f"{slow}{suffix}"], found[f"{fast}{suffix}"]),
            )
            for who, suffix in ((backend, ""), ("the clock", " by the clock"))
        ),
    ]


def _goals(setting: Setting, batch: int) -> tuple[str, ...]:
    """Of the time by events over that by the clock; on a CPU both are the same clock."""
    if not setting.on_gpu:
        return ("",)
    return ("<= 1.1",) if batch == 1 else (">= 0.9", "<= 1.1")


def _by_the_clock(setting: Setting, network: nn.Module, inputs: Tensor, calls: int) -> float:
    """Milliseconds of so many calls, each from before it is sent off until all of it is done."""
    taken_ns = 0
    for _ in range(calls):
        setting.wait()
        begin_ns = time.perf_counter_ns()
        network(inputs)
        setting.wait()
        taken_ns += time.perf_counter_ns() - begin_ns
    return taken_ns / 1e6
