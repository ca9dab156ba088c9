"""What a trial takes of a GPU's memory at most, and that it gives all of it back.

A worker serves trial after trial, so what one leaves behind adds up. The peak is of tensors
(``torch.cuda.max_memory_allocated``), beyond the task's data, which all trials of a worker share;
torch's own store of free memory and the context of CUDA (some 0.5 GiB) come on top.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measuring import Figure
from benchmarks.on_gpu.setting import Found, Setting
from study.pruning import PruningPlan, run_packed, run_pipeline, train_dense
from study.pruning.training.trajectory import Trajectory
from study.tasks import Task

CALL = "torch.cuda.max_memory_allocated"
MIB = 2**20
LANES = 16


def check(setting: Setting) -> Found:
    """Dense training, a trial, the same trial again, and a packed race."""
    figures: list[Figure] = []
    cases = setting.pick(
        {"resnet20": ((3, 32, 32), 2_048, 128), "vgg16": ((3, 32, 32), 2_048, 128)},
        {"small_cnn": ((1, 8, 8), 64, 32)},
    )
    for model, (shape, examples, batch_size) in cases.items():
        task = setting.task(model, shape, examples, epochs=1, batch_size=batch_size, lr=0.02)
        figures += _of_trials(setting, task)
    small = setting.task("small_cnn", (1, 16, 16), setting.pick(1_024, 64), epochs=1, batch_size=64)
    figures += _of_a_race(setting, small)
    return Found(tuple(figures), skipped=() if setting.on_gpu else (CALL,))


def _plan(seed: int = 0) -> PruningPlan:
    return PruningPlan(sparsity=0.9, rounds=2, retrain_epochs=1, allocation="lamp", seed=seed)


def _of_trials(setting: Setting, task: Task) -> list[Figure]:
    dense: list[Trajectory] = []

    def train() -> None:
        dense[:] = [train_dense(task, _plan().seeds)]

    def trial() -> None:
        list(run_pipeline(_plan(), task, dense[0]))

    alone, _ = peak_and_rest(setting, train)
    first, _ = peak_and_rest(setting, trial)
    second, left = peak_and_rest(setting, trial)
    rest = Figure.of(f"{task.name}: left behind by a second trial", "MiB", [left / MIB], "<= 0")
    if not setting.on_gpu:
        return [rest]
    return [
        rest,
        Figure.of(f"{task.name}: peak of dense training", "MiB", [alone / MIB]),
        Figure.of(f"{task.name}: peak of a trial", "MiB", [first / MIB]),
        Figure.of(f"{task.name}: peak of a trial", "x dense training", [first / alone]),
        Figure.of(
            f"{task.name}: peak of a second trial", "x the first", [second / first], "<= 1.01"
        ),
    ]


def _of_a_race(setting: Setting, task: Task) -> list[Figure]:
    plans = [_plan(seed) for seed in range(setting.pick(LANES, 2))]
    starts = [train_dense(task, plan.seeds) for plan in plans]
    one, _ = peak_and_rest(setting, lambda: list(run_pipeline(plans[0], task, starts[0])))
    peak_and_rest(setting, lambda: list(run_packed(plans, task, starts)))
    together, left = peak_and_rest(setting, lambda: list(run_packed(plans, task, starts)))
    who = f"{task.name}, {len(plans)} packed"
    rest = Figure.of(f"{who}: left behind by a second race", "MiB", [left / MIB], "<= 0")
    if not setting.on_gpu:
        return [rest]
    return [
        rest,
        Figure.of(f"{who}: peak", "MiB", [together / MIB]),
        Figure.of(f"{who}: peak", "x one trial, each", [together / one / len(plans)]),
    ]


def peak_and_rest(setting: Setting, call: Callable[[], object]) -> tuple[int, int]:
    """Bytes that a call takes at most (0 on the CPU), and that are still taken after it.

    Both are beyond those before.
    """
    if not setting.on_gpu:
        return 0, _left_on_cpu(call)
    gc.collect()
    before = torch.cuda.memory_allocated(setting.device)
    torch.cuda.reset_peak_memory_stats(setting.device)
    call()
    setting.wait()
    peak = torch.cuda.max_memory_allocated(setting.device)
    gc.collect()
    return peak - before, torch.cuda.memory_allocated(setting.device) - before


def _left_on_cpu(call: Callable[[], object]) -> int:
    """Bytes of tensors that are made in a call and there is no getting rid of."""
    gc.freeze()  # what there was before is no longer looked at
    try:
        call()
        gc.collect()
        kinds = (torch.Tensor, nn.Parameter)
        storages = [each.untyped_storage() for each in gc.get_objects() if type(each) in kinds]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    finally:
        gc.unfreeze()
