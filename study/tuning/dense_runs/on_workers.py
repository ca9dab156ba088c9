"""What is done on a worker before the search: the dense run, and whatever else is needed first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
import torch
from ray.exceptions import RayTaskError

from study.configuration.loading import StudyConfig
from study.pruning.plan import PruningPlan
from study.pruning.seeds import Seeds
from study.pruning.states.dense_runs import trajectory_name
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.task import Task
from study.tuning.dense_runs.shared_runs import SHARED_DIR, SharedRuns
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.ending import StopWatch
from study.tuning.preparing import Prepared
from study.tuning.ray.cluster_watch import LOOK_S, ClusterWatch

_T = TypeVar("_T")


@dataclass(frozen=True)
class OnWorkers:
    """Does work on a worker, while the driver waits.

    Parameters
    ----------
    needs
        CPUs and GPUs of a worker.
    location
        Of the study's folder.
    stop_file
        Where the worker sees that it is to stop.
    seconds_left
        Of the time budget; None without one.
    """

    needs: dict[str, float]
    location: str
    stop_file: tuple[str, ...]
    seconds_left: Callable[[], float | None]

    def run(self, work: Callable[[str, tuple[str, ...]], _T]) -> _T:
        """Wait for work; it is given the folder's location and the stop file.

        Raises
        ------
        TimeoutError
            If the time budget ended first; the work is broken off.
        ConnectionError
            If Ray has lost its last machine.
        Exception
            Whatever the work raised.
        """
        remote = ray.remote(num_cpus=self.needs["cpu"], num_gpus=self.needs["gpu"])(work)
        task = remote.remote(self.location, self.stop_file)
        watch, done = ClusterWatch(), list[Any]()
        while not done:
            watch.look()
            left = self.seconds_left()
            if left is not None and left <= 0:
                ray.cancel(task, force=True)
                raise TimeoutError("the time budget is spent")
            done, _ = ray.wait([task], timeout=LOOK_S if left is None else min(left, LOOK_S))
        try:
            found: _T = ray.get(task)
        except RayTaskError as error:
            raise error.cause from error
        return found


def seeds_of(seed: int) -> Seeds:
    """The streams of a plan with this seed."""
    return PruningPlan(sparsity=0.0, seed=seed).seeds


def train_dense_run(prepared: Prepared, on_workers: OnWorkers) -> tuple[str, float]:
    """Train the dense run that all trials start from; return its name and how long it took."""
    config = prepared.config
    seeds, arguments = seeds_of(config.study.seed), prepared.task_arguments
    name = trajectory_name(prepared.key, seeds)
    epochs = config.space.rewind_epochs(prepared.task.recipe.epochs)

    def work(location: str, stop_file: tuple[str, ...]) -> tuple[str, float]:
        task, study = task_on_worker(config, arguments), Folder(location)
        stop = StopWatch(study, stop_file)
        dense = ensure_trajectory(study, name, task, seeds, epochs, shared_runs(config), stop)
        return name, dense.wall_s

    return on_workers.run(work)


def shared_runs(config: StudyConfig) -> SharedRuns | None:
    """Where studies on the same storage share dense runs, if this one does."""
    if not config.resources.share_trajectories:
        return None
    folder = Folder(config.study.storage_path).child(SHARED_DIR)
    return SharedRuns(folder, int(config.resources.trajectory_store_gb * 1e9))


def task_on_worker(config: StudyConfig, arguments: dict[str, Any]) -> Task:
    """The task of a study, with as many threads as the study gives to a trial.

    Parameters
    ----------
    config
        The study.
    arguments
        Of the task, as the driver has them: what a notebook defines, it alone can name.
    """
    torch.set_num_threads(max(1, int(config.resources.cpus_per_trial)))
    return load_task(**arguments)
