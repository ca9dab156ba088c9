"""What Ray, Optuna and the records add to a trial, once everything has started.

    python -m benchmarks.trial_overhead

Runs the default study with one trial at a time, and the same plans again in a plain process from
the same dense run. The difference of the two is the overhead.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch

import study
from study.config import load_config
from study.pruning import PruningPlan, run_pipeline, train_dense
from study.tasks import load_task

TRIALS = 24


def between_starts_ms(folder: Path) -> list[float]:
    """Time from the start of each trial to that of the next, as the driver saw it."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    begins = [datetime.fromisoformat(e["at"]) for e in events if e["event"] == "trial_started"]
    return [(b - a).total_seconds() * 1000 for a, b in pairwise(begins)]


def alone_ms(folder: Path) -> list[float]:
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
    for plan in plans:
        begin = time.perf_counter()
        list(run_pipeline(plan, task, start=dense))
        times.append((time.perf_counter() - begin) * 1000)
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        config = load_config("digits-mlp", ["resources.max_concurrent=1"])
        begin = time.perf_counter()
        folder = Path(study.run(config, storage_path=scratch, num_samples=TRIALS))
        wall_s = time.perf_counter() - begin
        with_ray, alone = between_starts_ms(folder), alone_ms(folder)
    overhead = [a - b for a, b in zip(with_ray, alone, strict=False)]
    print(f"study of {TRIALS} trials: {wall_s:.1f} s, start of Ray included")
    print(f"a trial under Ray:  {median(with_ray):7.1f} ms (median)")
    print(f"the same plan alone:{median(alone):7.1f} ms")
    print(f"overhead:           {median(overhead):7.1f} ms, highest {max(overhead[1:]):.1f} ms")


if __name__ == "__main__":
    main()
