"""What Ray, Optuna and the records add to a trial, once everything has started.

Runs trials of the default study one at a time, and the same plans again in a plain process from the
same dense run. The difference of the two is the overhead.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

import study
from benchmarks.measuring import Figure
from benchmarks.study_events import times_of
from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline, train_dense
from study.tasks import load_task


def measure(quick: bool = False) -> list[Figure]:
    """Milliseconds a trial, and the share of a study of five-second trials that they would be."""
    with tempfile.TemporaryDirectory() as scratch:
        changes = ["resources.max_concurrent=1", "sensitivity.scan=false", "report.controls=false"]
        config = load_config("digits-mlp", changes)
        folder = Path(study.run(config, storage_path=scratch, num_samples=8 if quick else 24))
        begins = times_of(folder, "trial_started")
        with_ray = [(b - a) * 1000 for a, b in pairwise(begins)][1:]
        alone = _alone_ms(folder)[1:]
    overhead = [a - b for a, b in zip(with_ray, alone, strict=False)]
    return [
        Figure.of("overhead of a trial", "ms", overhead, "<= 150"),
        Figure.of("of a trial that takes 5 s", "% of the time", [o / 50 for o in overhead], "<= 5"),
    ]


def _alone_ms(folder: Path) -> list[float]:
    """Time of each trial's plan in this process."""
    torch.set_num_threads(1)
    task = load_task(**load_config(folder / "study.toml").task.load_arguments())
    plans = [
        PruningPlan.model_validate_json((trial / "plan.json").read_text())
        for trial in sorted((folder / "trials").iterdir())
    ]
    epochs = {plan.rewind_epoch for plan in plans if plan.rewind_epoch is not None}
    dense = train_dense(task, plans[0].seeds, epochs)
    times = []
    for trial, plan in zip(sorted((folder / "trials").iterdir()), plans, strict=True):
        rounds = len((trial / "rounds.jsonl").read_text().splitlines())
        begin = time.perf_counter()
        for _, record in zip(range(rounds), run_pipeline(plan, task, start=dense), strict=False):
            del record  # a trial that was stopped early is run as far
        times.append((time.perf_counter() - begin) * 1000)
    return times
