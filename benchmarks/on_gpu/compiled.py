"""``compile = true``: the same network up to rounding, how long it takes to compile, and how fast.

A study compiles in each stretch of training; torch keeps what it has compiled of a network, so
that a descent should compile once and not once a round.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

import torch
from torch._dynamo.utils import counters

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import (
    Found,
    Last,
    Setting,
    apart,
    cut_at_random,
    flat,
    plain_float32,
    revived,
)
from study.pruning import PruningPlan, mask_layers, run_pipeline, train_dense
from study.pruning.training.steps import Segment, train
from study.pruning.training.trajectory import build_model
from study.tasks import Task
from study.tasks.training.optimizers import build_optimizer

CALL = "torch.compile"
SAME = 0.05
"""Relative, of what a few steps change: fused kernels add up in another order."""


class Training:
    """A masked network in training as a study trains it, stretch after stretch."""

    def __init__(self, task: Task) -> None:
        self.task, self.steps = task, 0
        self.model = build_model(task, 0)
        cut_at_random(mask_layers(self.model), 0.2)
        self.optimizer = build_optimizer(task.recipe, self.model)

    def take(self, steps: int) -> None:
        """Go on for so many steps."""
        segment = Segment(steps, 0, lr_moves=False, data_step=self.steps)
        train(self.model, self.optimizer, self.task, segment, data_seed=0)
        self.steps += steps


def check(setting: Setting) -> Found:
    """Compare steps, a descent, and times."""
    if setting.on_gpu and find_spec("triton") is None:
        return Found((), skipped=(CALL,), notes=("torch compiles for GPUs by Triton: not there.",))
    case = setting.pick(("resnet20", (3, 32, 32), 4_096), ("mlp", (8, 8), 64))
    batch_size = setting.pick(256, 32)
    plain = setting.task(*case, epochs=1, batch_size=batch_size, lr=1e-3)
    compiled = plain.with_recipe(plain.recipe.model_copy(update={"compile": True}))
    few = setting.pick(8, 2)
    with plain_float32():
        eager, fused = Training(plain), Training(compiled)
        eager.take(few)
        began = time.perf_counter()
        fused.take(few)
        first_s = time.perf_counter() - began
    weights, expected = (flat(dict(each.model.named_parameters())) for each in (fused, eager))
    start = flat(dict(Training(plain).model.named_parameters()))
    times = setting.times_ms(
        {"eager": lambda: eager.take(few), "compiled": lambda: fused.take(few)}
    )
    figures = [
        Figure.of(
            f"{plain.name}: what {few} steps change, against eager",
            "relative",
            [apart(weights - start, expected - start)],
            f"<= {SAME}",
        ),
        Figure.of(
            f"{plain.name}: pruned weights that are not 0",
            "weights",
            [revived(fused.model)],
            "<= 0",
        ),
        Figure.of(f"{plain.name}: the first {few} steps, compiling", "s", [first_s]),
        Figure.of(
            f"{plain.name}, batch {batch_size}: step",
            "x as fast as eager",
            ratios(times["eager"], times["compiled"]),
        ),
    ]
    return Found((*figures, *_descent(compiled)))


def _descent(task: Task) -> list[Figure]:
    """A descent of three rounds: its pruned weights, and what it compiles after the dense run."""
    plan, last = PruningPlan(sparsity=0.8, rounds=3, retrain_epochs=1), Last()
    torch._dynamo.reset()
    dense = train_dense(task, plan.seeds)
    before = counters["stats"]["unique_graphs"]
    list(run_pipeline(plan, task, dense, observer=last))
    return [
        Figure.of(
            f"{task.name}, descent of three rounds: pruned weights that are not 0",
            "weights",
            [revived(last.masked.model)],
            "<= 0",
        ),
        Figure.of(
            f"{task.name}, descent of three rounds: graphs compiled in them",
            "graphs",
            [counters["stats"]["unique_graphs"] - before],
            "<= 2",
        ),
    ]
