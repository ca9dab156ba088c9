"""What trials save when they share their dense run: the default study's plans, with and without."""

from __future__ import annotations

import time

import torch

from benchmarks.measuring import Figure
from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline, train_dense
from study.tasks import load_task


def measure(quick: bool = False) -> list[Figure]:
    """Time of a plan that trains its own dense network, over that of one that is given it."""
    torch.set_num_threads(1)
    config = load_config("digits-mlp")
    task = load_task(**config.task.load_arguments())
    figures = []
    for rounds, epochs in ((1, 2), (3, 4), (6, 8)):
        plan = PruningPlan(sparsity=0.9, rounds=rounds, retrain_epochs=epochs)
        dense = train_dense(task, plan.seeds)
        ratios = []
        for _ in range(3 if quick else 9):
            times = []
            for start in (None, dense):
                begin = time.perf_counter()
                list(run_pipeline(plan, task, start))
                times.append(time.perf_counter() - begin)
            ratios.append(times[0] / times[1])
        case = f"{task.recipe.epochs} epochs dense, {rounds} rounds of {epochs}"
        figures.append(Figure.of(case, "x with shared dense run", ratios))
    return figures
