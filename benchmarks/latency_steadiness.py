"""Where latency is measured most steadily: beside trials that train, or when nothing else runs.

A Ray worker with a processor of its own measures a small ResNet, and one with half its channels,
again and again. In turns, the other processors train LeNet-5 in Ray workers without regard for it,
train and give way to it at the end of each epoch, as the trials of a study do, or are idle all the
while. What counts is how far the medians lie apart, in percent of their median: of one network's
latency, and of the speedup.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from statistics import median

import numpy as np
import ray
import torch
from torch import nn

from benchmarks.measuring import Figure
from benchmarks.narrowed import DENSE, resnet8
from study.pruning.latency.backends import Backend, ready
from study.pruning.latency.job import Job
from study.pruning.latency.quiet import GiveWay, alone, at_work
from study.pruning.latency.turns import take_turns
from study.tasks.forward import call
from study.tasks.models import MODELS

PHASES = ("beside trials", "trials give way", "quiet phase")
BACKENDS: tuple[Backend, ...] = ("onnxruntime", "eager")
REPEATS = 50


def measure(quick: bool = False) -> list[Figure]:
    """Spreads of repeated medians, in percent, and what trials beside it add."""
    cpus = os.cpu_count() or 1
    if cpus < 2:
        return []
    ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        trials = [_Trial.remote() for _ in range(cpus - 1)]
        figures = []
        for backend in BACKENDS:
            figures += _steadiness(backend, trials, 4 if quick else 10)
        return figures
    finally:
        ray.shutdown()


def _steadiness(backend: Backend, trials: list, rounds: int) -> list[Figure]:
    meter = _Meter.remote(backend)
    ray.get(meter.medians.remote())
    dense: dict[str, list[float]] = {phase: [] for phase in PHASES}
    speedups: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for number in range(rounds):
        for phase in PHASES if number % 2 else PHASES[::-1]:
            beside = [] if phase == "quiet phase" else trials
            with _training(beside, gives_way=phase == "trials give way"):
                found = ray.get(meter.medians.remote())
            dense[phase].append(found["dense"])
            speedups[phase].append(found["dense"] / found["narrow"])
    ray.kill(meter)
    figures = []
    for what, values in (("latency", dense), ("speedup", speedups)):
        for phase in PHASES:
            case = f"{backend}, {what}, {phase}"
            figures.append(Figure.of(case, "% from its median", _deviations(values[phase])))
    for phase in PHASES[:-1]:
        added = [a / b for a, b in zip(dense[phase], dense["quiet phase"], strict=True)]
        figures.append(Figure.of(f"{backend}, latency, {phase}", "x quiet phase", added))
    return figures


def _deviations(values: list[float]) -> list[float]:
    middle = median(values)
    return [100 * abs(value / middle - 1) for value in values]


@contextlib.contextmanager
def _training(trials: list, gives_way: bool) -> Iterator[None]:
    ends = [trial.train.remote(gives_way) for trial in trials]
    try:
        ray.get([trial.has_begun.remote() for trial in trials])
        yield
    finally:
        ray.get([trial.stop.remote() for trial in trials])
        ray.get(ends)


@ray.remote(num_cpus=1)
class _Meter:
    """Measures the same two networks whenever it is asked."""

    def __init__(self, backend: Backend) -> None:
        torch.manual_seed(0)
        inputs = torch.randn(1, 1, 28, 28)
        networks = {"dense": resnet8(), "narrow": resnet8([width // 2 for width in DENSE])}
        jobs = {name: Job(network, inputs, call) for name, network in networks.items()}
        self._open = contextlib.ExitStack()
        self._timed, _ = self._open.enter_context(ready(jobs, backend=backend, threads=1))

    def medians(self) -> dict[str, float]:
        with alone():
            found = take_turns(self._timed, repeats=REPEATS, warm_up=5, seed=0)
        return {name: float(np.median(samples)) for name, samples in found.items()}


@ray.remote(num_cpus=1, max_concurrency=3)
class _Trial:
    """Trains LeNet-5 until it is stopped."""

    def __init__(self) -> None:
        self._begun, self._stopped = threading.Event(), threading.Event()

    def train(self, gives_way: bool) -> None:
        with at_work() if gives_way else contextlib.nullcontext(lambda: None) as give_way:
            self._train(give_way)

    def _train(self, give_way: GiveWay) -> None:
        torch.set_num_threads(1)
        model = MODELS["lenet5"]((1, 28, 28), 10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        inputs, targets = torch.randn(1024, 1, 28, 28), torch.randint(10, (1024,))
        while not self._stopped.is_set():
            for batch in range(0, 1024, 128):
                optimizer.zero_grad()
                outputs = model(inputs[batch : batch + 128])
                nn.functional.cross_entropy(outputs, targets[batch : batch + 128]).backward()
                optimizer.step()
            self._begun.set()
            give_way()
        self._stopped.clear()
        self._begun.clear()

    def has_begun(self) -> None:
        self._begun.wait()

    def stop(self) -> None:
        self._stopped.set()
