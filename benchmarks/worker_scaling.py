"""Two workers against one: the same random study, run with one trial at a time and with two.

Beside it, two plain processes that run the same pipeline at a time, against one: what the machine
itself loses when both of its processors work.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import torch

import study
from benchmarks.measuring import Figure
from benchmarks.study_events import times_of
from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline
from study.tasks import load_task


def measure(quick: bool = False) -> list[Figure]:
    """Scaling efficiency: time with one worker, over twice the time with two."""
    if (os.cpu_count() or 1) < 2:
        return []
    efficiencies = []
    for seed in range(1 if quick else 2):
        one, two = (_search_s(workers, seed) for workers in (1, 2))
        efficiencies.append(one / (2 * two))
    return [
        Figure.of("2 workers", "x perfect", efficiencies, ">= 0.9"),
        Figure.of("2 plain processes, no Ray", "x perfect", _plain(2 if quick else 5)),
    ]


def _plain(repeats: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.map(_pipeline_s, range(4), chunksize=1)  # both have imported all
        found = []
        for _ in range(repeats):
            alone = pool.apply(_pipeline_s, (0,))
            found.append(alone / max(pool.map(_pipeline_s, range(2), chunksize=1)))
    return found


def _pipeline_s(seed: int) -> float:
    torch.set_num_threads(1)
    task = load_task(dataset="digits", model="mlp", recipe={"epochs": 4})
    plan = PruningPlan(sparsity=0.9, rounds=4, retrain_epochs=12, seed=seed)
    begin = time.perf_counter()
    list(run_pipeline(plan, task))
    return time.perf_counter() - begin


def _search_s(workers: int, seed: int) -> float:
    """From the first trial's second round, when the workers are up, to the end of the last."""
    config = load_config(
        "digits-mlp",
        [
            *(["resources.max_concurrent=1"] if workers == 1 else []),  # two are all there are
            f"study.seed={seed}",
            "sensitivity.scan=false",
            "report.controls=false",
            "task.epochs=4",
            "space.rewind_epoch=0",
            "space.rounds=4",
            "space.retrain_epochs=40",
            'space.schedule="geometric"',
            'search.sampler="random"',
            'search.early_stopping="none"',
            "search.warm_start=[]",
            "search.textbook=false",
        ],
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(study.run(config, storage_path=scratch, num_samples=12))
        starts, rounds = times_of(folder, "trial_started"), times_of(folder, "round_finished")
    started = max(starts[workers - 1], rounds[0])
    return rounds[-1] - started
