"""The same plan twice: the same records and weights, to the last bit.

With torch's deterministic algorithms they must be (``CUBLAS_WORKSPACE_CONFIG`` is set for this
check, as cuBLAS asks). What torch does unasked is measured beside it, and what it costs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.measuring import Figure
from benchmarks.on_gpu.setting import Found, Last, Setting
from study.pruning import PruningPlan, run_packed, run_pipeline
from study.records import RoundRecord
from study.tasks import Task

CLOCKS = {"wall_s", "finished_at"}
"""Fields of a record that differ between any two runs."""

PLANS = [
    PruningPlan(
        sparsity=0.9, rounds=3, retrain="weight_rewind", rewind_epoch=0.5, retrain_epochs=1,
        allocation=allocation,
    )
    for allocation in ("global", "lamp")
]  # fmt: skip


def check(setting: Setting) -> Found:
    """Run everything twice, with torch's deterministic algorithms and without."""
    task = setting.task(
        *setting.pick(("resnet20", (3, 32, 32), 2_048), ("mlp", (8, 8), 64)),
        epochs=1,
        batch_size=setting.pick(128, 32),
        lr=0.05,
    )
    figures, seconds, named = [], {}, set()
    _run(PLANS[0], task)  # what a device does for the first time is not paid by either
    for mode in ("deterministic", "default"):
        began = time.perf_counter()
        with _deterministic(mode == "deterministic") as seen:
            apart, weights = _alone_twice(task)
            packed = _packed_twice(task)
        seconds[mode] = time.perf_counter() - began
        named |= seen
        goal = "<= 0" if mode == "deterministic" or not setting.on_gpu else ""
        figures += [
            Figure.of(f"{task.name}, {mode}: records that differ", "rounds", [apart], goal),
            Figure.of(f"{task.name}, {mode}: tensors that differ", "tensors", [weights], goal),
            Figure.of(f"{task.name}, {mode}: packed records that differ", "rounds", [packed], goal),
        ]
    cost = seconds["deterministic"] / seconds["default"]
    figures.append(Figure.of(f"{task.name}: deterministic", "x the default's time", [cost]))
    notes = tuple(f"Not deterministic, by torch's own word: {each}." for each in sorted(named))
    return Found(tuple(figures), notes=notes)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[set[str]]:
    """Switch it on, and gather which operations torch says it can't have so."""
    named: set[str] = set()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(wanted, warn_only=True)
        try:
            yield named
        finally:
            torch.use_deterministic_algorithms(False)
    texts = (str(each.message) for each in told)
    named |= {text.partition(" does not have")[0] for text in texts if "does not have" in text}


def _alone_twice(task: Task) -> tuple[int, int]:
    """Records and tensors that differ."""
    records, tensors = 0, 0
    for plan in PLANS:
        first, second = _run(plan, task), _run(plan, task)
        records += _differing(first[0], second[0])
        tensors += sum(not torch.equal(first[1][name], second[1][name]) for name in first[1])
    return records, tensors


def _run(plan: PruningPlan, task: Task) -> tuple[list[RoundRecord], dict[str, Tensor]]:
    last = Last()
    records = list(run_pipeline(plan, task, observer=last))
    state = last.masked.model.state_dict()
    return records, {name: value.clone() for name, value in state.items()}


def _packed_twice(task: Task) -> int:
    """Records that differ."""
    return _differing(_packed(task), _packed(task))


def _packed(task: Task) -> list[RoundRecord]:
    found = sorted(run_packed(PLANS, task), key=lambda each: (each[0], each[1].round))
    return [record for _, record in found]


def _differing(first: list[RoundRecord], second: list[RoundRecord]) -> int:
    pairs = zip(first, second, strict=True)
    return sum(
        a.model_dump_json(exclude=CLOCKS) != b.model_dump_json(exclude=CLOCKS) for a, b in pairs
    )
