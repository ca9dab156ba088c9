"""Results a second from many workers whose trials only sleep: what the driver can keep up with.

Ray is told of 64 processors. The trials come from the real searcher, are judged by the real
scheduler and recorded by the real recorder; only the training is a sleep, so long that 50 results
are due in a second. There are 2,048 trials, so that what grows with them is seen: what the searcher
learns from, and what the driver holds. On a machine with few processors the workers' own processes
take these from the driver; what the driver itself uses says how many results it could handle on one
of its own.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution.tune_controller import TuneController

from benchmarks.measuring import Figure
from benchmarks.study_events import times_of
from study.configuration.loading import load_config
from study.tuning import tuner
from study.tuning.launching import run_study
from study.tuning.preparing import prepare

WORKERS, RESULTS_PER_S, ROUNDS = 64, 50, 3
TRIALS_A_WORKER = 32


def measure(quick: bool = False) -> list[Figure]:
    """Results a second while all workers are up: neither their start nor the end counts."""
    workers = 16 if quick else WORKERS
    sleep_s = workers / RESULTS_PER_S
    real = tuner.PipelineTrainable
    ray.init(num_cpus=workers, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    tuner.PipelineTrainable = _sleeping(sleep_s)  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            config = load_config(
                "digits-mlp",
                [
                    f'study.storage_path="{scratch}"',
                    f"study.num_samples={workers * (6 if quick else TRIALS_A_WORKER)}",
                    "sensitivity.scan=false",
                    "report.controls=false",
                    f"space.rounds={ROUNDS - 1}",
                    'space.schedule="geometric"',
                    "search.warm_start=[]",
                    "search.textbook=false",
                ],
            )
            prepared = prepare(config)
            listened = _Listener(workers)
            before_mb = _peak_mb()
            with _timed_loop() as loop_s:
                run_study(prepared, listened)
            folder = Path(prepared.folder.location)
            starts = times_of(folder, "trial_started")
            times = [t for t in times_of(folder, "round_finished") if t >= starts[workers - 1]]
    finally:
        tuner.PipelineTrainable = real  # type: ignore[misc]
        ray.shutdown()
    # The last trials do not keep all workers busy.
    last = len(times) - workers * ROUNDS
    rate = last / (times[last] - times[0])
    used = [1000 * s for s in listened.processor_s]
    mean, tenth = sum(used) / len(used), len(used) // 10
    return [
        Figure.of("driver's processor time a result", "ms, mean", [mean], "<= 20"),
        Figure.of("of the first tenth of them", "ms, mean", [sum(used[:tenth]) / tenth]),
        Figure.of("of the last tenth of them", "ms, mean", [sum(used[-tenth:]) / tenth]),
        Figure.of("a turn of the driver's loop, its processor", "ms", [1000 * s for s in loop_s]),
        Figure.of("the longest such turn", "ms", [1000 * max(loop_s)]),
        Figure.of("what the driver's memory grew by, at most", "MB", [_peak_mb() - before_mb]),
        Figure.of(f"{workers} workers, {len(times)} results", "results a second", [rate]),
        Figure.of("share of what is due", "x perfect", [rate / RESULTS_PER_S], ">= 0.9"),
    ]


@contextmanager
def _timed_loop() -> Iterator[list[float]]:
    """Seconds of the processor that each turn of Tune's loop takes."""
    step, taken = TuneController.step, list[float]()

    def timed(self: Any) -> None:
        begun = time.process_time()
        step(self)
        taken.append(time.process_time() - begun)

    TuneController.step = timed  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        TuneController.step = step  # type: ignore[method-assign]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


class _Listener:
    """Notes what of its processor the driver has used from one result to the next."""

    def __init__(self, workers: int) -> None:
        self.processor_s: list[float] = []
        self._workers, self._started, self._at = workers, 0, 0.0

    def __call__(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        self._started += event == "trial_started"
        if event == "round_finished":
            now = time.process_time()
            if self._started >= self._workers:
                self.processor_s.append(now - self._at)
            self._at = now


def _sleeping(sleep_s: float) -> type[tune.Trainable]:
    """A trainable that is pickled by value: its workers import nothing of this project."""

    class Sleeping(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._plan, self._round = new_config["plan"], -1
            return True

        def step(self) -> dict[str, Any]:
            time.sleep(sleep_s * random.uniform(0.5, 1.5))  # as trials of different plans do
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
