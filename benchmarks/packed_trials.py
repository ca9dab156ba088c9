"""Several small networks in one program, against one after the other.

All plans begin from the same kind of dense run, prune over two rounds and retrain one epoch each;
dense runs are made before. On a CPU a network already fills its core, so that only what a step
costs beside its arithmetic is saved; the gain is on a GPU.
"""

from __future__ import annotations

import torch

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning import PruningPlan, run_pipeline, train_dense
from study.pruning.packed.pipelines import run_packed
from study.pruning.training.trajectory import Trajectory
from study.tasks import Task, make_task
from study.tasks.models import MODELS

Plans = list[PruningPlan]
Starts = list[Trajectory]

CASES = {
    "MLP 64-64-32-10": ("mlp", (64,), {"widths": [64, 32]}, (4, 16, 32)),
    "LeNet-300-100": ("lenet300", (784,), {}, (4, 16)),
    "small CNN on 8 x 8": ("small_cnn", (1, 8, 8), {}, (4, 16)),
}


def measure(quick: bool = False) -> list[Figure]:
    """Time of all plans one after the other, over the time of all together."""
    goal = ">= 10" if torch.cuda.is_available() else ""
    figures = []
    for name, (model, shape, options, counts) in CASES.items():
        torch.manual_seed(0)
        inputs, targets = torch.randn(1_280, *shape), torch.randint(10, (1_280,))
        task = make_task(
            lambda model=model, shape=shape, options=options: MODELS[model](shape, 10, **options),
            (inputs, targets),
            (inputs[:200], targets[:200]),
            epochs=1,
            batch_size=64,
            lr=0.02,
        )
        for count in counts:
            plans = [
                PruningPlan(sparsity=0.5 + 0.01 * seed, rounds=2, retrain_epochs=1, seed=seed)
                for seed in range(count)
            ]
            starts = [train_dense(task, plan.seeds) for plan in plans]

            def packed(task: Task = task, plans: Plans = plans, starts: Starts = starts) -> None:
                list(run_packed(plans, task, starts))

            def alone(task: Task = task, plans: Plans = plans, starts: Starts = starts) -> None:
                for plan, start in zip(plans, starts, strict=True):
                    list(run_pipeline(plan, task, start))

            times = interleaved_ms({"packed": packed, "alone": alone}, 3 if quick else 7)
            found = ratios(times["alone"], times["packed"])
            figures.append(
                Figure.of(f"{name}, {count} on {task.device}", "x one by one", found, goal)
            )
    return figures
