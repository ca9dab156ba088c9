"""One Ray Tune trial = one pruning pipeline; one step of it = one round."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import format_exc
from typing import Any

import torch
from ray import tune

from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.states.dense_runs import stored_trajectory, trajectory_name
from study.pruning.states.progress import Progress
from study.pruning.timing import Timing
from study.pruning.training.trajectory import Trajectory
from study.records import RoundRecord
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.task import Task
from study.tuning.dense_runs.shared_runs import SharedRuns
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.ending import StopRequestedError, StopWatch
from study.tuning.ray.once_a_node import with_shared_data
from study.tuning.results import INTERRUPTED, REPLAYED, result_of
from study.tuning.trials.trial_writer import TrialWriter


class PipelineTrainable(tune.Trainable):
    """Runs the plan in its config, a round at each step, and writes as it goes.

    The actor is used again for further trials: task and dense run are loaded once.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take note of the plan. Ray may set up an actor for a trial that another one runs."""
        torch.set_num_threads(max(1, int(config["cpus"])))
        self._task: Task | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another plan in the same process."""
        self._config = new_config
        self._records: Iterator[RoundRecord] | None = None
        self._stored: list[RoundRecord] = []
        return True

    def step(self) -> dict[str, Any]:
        """Run one round; the first one goes on where an earlier attempt was cut off.

        Rounds that the earlier attempt finished are told first, one a step: a driver that takes
        the study up learns of them as of any other.
        """
        try:
            records = self._records = self._records or self._begin(self._config)
            record = self._stored.pop(0) if self._stored else next(records)
        except StopRequestedError:
            return {"done": True, INTERRUPTED: True}
        except Exception:
            self._writer.failed(format_exc())
            raise
        result = result_of(record, self._plan)
        if result["done"] and not self._stored:
            records.close()  # type: ignore[attr-defined]
            self._writer.end()
        return {**result, REPLAYED: bool(self._stored)}

    def _begin(self, config: dict[str, Any]) -> Iterator[RoundRecord]:
        folder, first = Folder(config["folder"]), config["first_round"]
        self._plan = PruningPlan.model_validate(config["plan"])
        self._writer = TrialWriter(
            folder,
            config["id"],
            config["checkpoint_interval_s"],
            config["extensible"],
            stop=StopWatch(folder, tuple(config["stop"])),
        )
        if self._writer.is_over(self._plan):
            self._stored = self._after(first)
            return (each for each in list[RoundRecord]())
        if self._task is None:
            self._task = with_shared_data(load_task(**config["task"]), config["data"])
        start = self._writer.begin(self._plan)
        self._stored = self._after(first)
        trajectory: Trajectory | Progress | None = start
        if trajectory is None and config["shared_runs"] is not None:
            trajectory = self._dense_run(folder, SharedRuns.of(*config["shared_runs"]))
        timing = Timing.of(config["latency"])
        return run_pipeline(self._plan, self._task, trajectory, self._writer, timing)

    def _after(self, first: int) -> list[RoundRecord]:
        """Rounds that were finished before; of an extension, those of its own."""
        return [each for each in self._writer.finished if not first or each.round > first]

    def _dense_run(self, folder: Folder, shared: SharedRuns) -> Trajectory:
        """What the study trained before its trials; of a seed that only this plan has, its own."""
        assert self._task is not None
        seeds, epoch = self._plan.seeds, self._plan.rewind_epoch
        name = trajectory_name(self._config["task_key"], seeds)
        return stored_trajectory(folder, name) or ensure_trajectory(
            folder, name, self._task, seeds, [] if epoch is None else [epoch], shared
        )
