"""Two workers against one: the same random study, run with one trial at a time and with two."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import study
from benchmarks.measuring import Figure
from benchmarks.study_events import times_of
from study.config import load_config


def measure(quick: bool = False) -> list[Figure]:
    """Scaling efficiency: time with one worker, over twice the time with two."""
    if (os.cpu_count() or 1) < 2:
        return []
    efficiencies = []
    for seed in range(1 if quick else 3):
        one, two = (_search_s(workers, seed) for workers in (1, 2))
        efficiencies.append(one / (2 * two))
    return [Figure.of("2 workers", "x perfect", efficiencies, ">= 0.9")]


def _search_s(workers: int, seed: int) -> float:
    """From the first trial's second round, when the workers are up, to the end of the last."""
    config = load_config(
        "digits-mlp",
        [
            f"resources.max_concurrent={workers}",
            f"study.seed={seed}",
            "sensitivity.scan=false",
            "report.controls=false",
            "task.epochs=4",
            "space.rewind_epoch=0",
            "space.rounds=4",
            "space.retrain_epochs=12",
            'space.schedule="geometric"',
            'search.sampler="random"',
            'search.early_stopping="none"',
            "search.warm_start=[]",
        ],
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(study.run(config, storage_path=scratch, num_samples=16))
        starts, rounds = times_of(folder, "trial_started"), times_of(folder, "round_finished")
    started = max(starts[workers - 1], rounds[0])
    return rounds[-1] - started
