"""Results a second from many workers whose trials only sleep: what the driver can keep up with.

Ray is told of 64 processors. The trials come from the real searcher, are judged by the real
scheduler and recorded by the real recorder; only the training is a sleep, so long that 50 results
are due in a second. What is slower than that is the driver.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from benchmarks.measuring import Figure
from benchmarks.study_events import times_of
from study.config import load_config
from study.tuning import launching
from study.tuning.preparing import prepare

WORKERS, RESULTS_PER_S = 64, 50


def measure(quick: bool = False) -> list[Figure]:
    """Results a second, between the quartiles of all results: neither start nor end counts."""
    workers = 16 if quick else WORKERS
    sleep_s = workers / RESULTS_PER_S
    real = launching.PipelineTrainable
    ray.init(num_cpus=workers, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    launching.PipelineTrainable = _sleeping(sleep_s)  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            config = load_config(
                "digits-mlp",
                [
                    f'study.storage_path="{scratch}"',
                    f"study.num_samples={workers * (3 if quick else 6)}",
                    "sensitivity.scan=false",
                    "report.controls=false",
                    "space.rounds=6",
                    'space.schedule="geometric"',
                    "search.warm_start=[]",
                ],
            )
            prepared = prepare(config)
            launching.run_study(prepared, lambda *_: None)
            times = times_of(Path(prepared.folder.location), "round_finished")
    finally:
        launching.PipelineTrainable = real  # type: ignore[misc]
        ray.shutdown()
    first, last = len(times) // 4, 3 * len(times) // 4
    rate = (last - first) / (times[last] - times[first])
    return [
        Figure.of(f"{workers} workers, {len(times)} results", "results a second", [rate]),
        Figure.of("share of what is due", "x perfect", [rate / RESULTS_PER_S], ">= 0.9"),
    ]


def _sleeping(sleep_s: float) -> type[tune.Trainable]:
    """A trainable that is pickled by value: its workers import nothing of this project."""

    class Sleeping(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._plan, self._round = new_config["plan"], -1
            return True

        def step(self) -> dict[str, Any]:
            time.sleep(sleep_s)
            self._round += 1
            density = 0.02 ** (self._round / self._plan["rounds"])
            accuracy = 0.97 - 0.01 * (1 / density) ** 0.5
            return {
                "round": self._round,
                "density": density,
                "val_accuracy": accuracy,
                "val_loss": 1 - accuracy,
                "macs": 1e6 * density,
                "nonzero_parameters": round(1e4 * density),
                "prunable_parameters": 10_000,
                "train_epochs": 10.0 + self._round,
                "train_samples": 1_000 * (10 + self._round),
                "wall_s": self._round * sleep_s,
                "finished_at": "2026-01-01T00:00:00+00:00",
                "rounds_planned": self._plan["rounds"],
                "done": self._round >= self._plan["rounds"],
            }

    return Sleeping
