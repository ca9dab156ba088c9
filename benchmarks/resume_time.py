"""How long going on takes: reading a checkpoint until the next step is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measuring import Figure
from study.pruning import PruningPlan, run_pipeline
from study.pruning.states.progress import Progress
from study.pruning.states.state_files import progress_from_bytes, progress_to_bytes
from study.tasks import Task, make_task
from study.tasks.models import MODELS


class _Keeper:
    def __init__(self) -> None:
        self.last = b""

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        self.last = progress_to_bytes(progress())

    def round_finished(self, record: Any, masked: Any, progress: Callable[[], Progress]) -> None:
        self.last = progress_to_bytes(progress())


def measure(quick: bool = False) -> list[Figure]:
    """Milliseconds from bytes to the first record of a pipeline that has only to measure."""
    torch.set_num_threads(1)
    figures = []
    for name, (model, shape) in {
        "LeNet-300-100": ("lenet300", (784,)),
        "ResNet-20": ("resnet20", (3, 32, 32)),
    }.items():
        inputs, targets = torch.randn(128, *shape), torch.randint(10, (128,))

        def build(model: str = model, shape: tuple[int, ...] = shape) -> torch.nn.Module:
            return MODELS[model](shape, 10)

        task = make_task(build, (inputs, targets), (inputs, targets), epochs=1, lr=0.01)
        figures += _of(name, task, 3 if quick else 11)
    return figures


def _of(name: str, task: Task, repeats: int) -> list[Figure]:
    plan, keeper = PruningPlan(sparsity=0.8, rounds=2, retrain="lr_rewind"), _Keeper()
    for record in run_pipeline(plan, task, observer=keeper):
        if record.round == 1:
            break
    write_ms, read_ms = [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        progress = progress_from_bytes(keeper.last)
        records = run_pipeline(plan.prefix(1) or plan, task, progress)
        next(records, None)
        read_ms.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        progress_to_bytes(progress)
        write_ms.append((time.perf_counter() - begin) * 1000)
    size_mb = len(keeper.last) / 1e6
    return [
        Figure.of(f"{name}, go on from {size_mb:.1f} MB", "ms", read_ms),
        Figure.of(f"{name}, write them", "ms", write_ms),
    ]
