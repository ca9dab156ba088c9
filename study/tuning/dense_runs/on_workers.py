"""What is done on a worker before the search: dense runs, and the scan of their layers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch

from search_spaces.values import options
from study.configuration.loading import StudyConfig
from study.objectives import quality_of
from study.pruning.masking.masks import mask_layers
from study.pruning.plan import PruningPlan
from study.pruning.seeds import Seeds
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.sensitivity.found import Scan
from study.pruning.sensitivity.savings import Clock, clock_for
from study.pruning.sensitivity.weights import scan
from study.pruning.states.dense_runs import trajectory_name
from study.pruning.timing import Timing
from study.pruning.training.steps import Segment, samples_in
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.records import SENSITIVITY_FILE, SensitivityRecord
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.task import Task
from study.tuning.dense_runs.shared_runs import SHARED_DIR, SharedRuns
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.preparing import Prepared


def seeds_of(seed: int) -> Seeds:
    """The streams of a plan with this seed."""
    return PruningPlan(sparsity=0.0, seed=seed).seeds


def train_dense_run(prepared: Prepared, needs: dict[str, float]) -> tuple[str, float]:
    """Train the dense run that all trials start from; return its name and how long it took."""
    config = prepared.config
    seeds, arguments = seeds_of(config.study.seed), prepared.task_arguments
    name = trajectory_name(prepared.key, seeds)
    epochs = config.space.rewind_epochs(prepared.task.recipe.epochs)

    def work(location: str) -> tuple[str, float]:
        task = task_on_worker(config, arguments)
        dense = ensure_trajectory(Folder(location), name, task, seeds, epochs, shared_runs(config))
        return name, dense.wall_s

    found: tuple[str, float] = _on_a_worker(work, needs, prepared.folder.location)
    return found


def scan_layers(prepared: Prepared, needs: dict[str, float]) -> Scan:
    """Scan the layers of one dense network for each seed, and keep what was found.

    The first is the network that all trials start from. The dense runs of the others are for the
    scan alone, and charged to it.
    """
    config = prepared.config
    key, arguments = prepared.key, prepared.task_arguments

    def work(location: str) -> Scan:
        task = task_on_worker(config, arguments)
        records: list[SensitivityRecord] = []
        spent, clock = 0, None
        whole = Segment(dense_steps(task), lr_step=0, lr_moves=True, data_step=0)
        for seed in range(config.study.seed, config.study.seed + config.sensitivity.seeds):
            seeds = seeds_of(seed)
            name = trajectory_name(key, seeds)
            dense = ensure_trajectory(Folder(location), name, task, seeds, [], shared_runs(config))
            if config.space.structure == "weights":
                found = _scan_weights(config, task, dense, seed)
            else:
                clock = clock or clock_of(config, task)
                found = _scan_channels(config, task, dense, seed, clock)
            records += found.records
            spent += found.train_samples
            if seed != config.study.seed:
                spent += samples_in(task, whole)
        return Scan(tuple(records), spent)

    found: Scan = _on_a_worker(work, needs, prepared.folder.location)
    if found.records:
        prepared.folder.write(to_parquet(found.records), SENSITIVITY_FILE)
    return found


def _scan_weights(config: StudyConfig, task: Task, dense: Trajectory, seed: int) -> Scan:
    return scan(
        task,
        dense.states[dense_steps(task)],
        seeds_of(seed),
        levels=config.sensitivity.levels,
        recovery_epochs=config.sensitivity.recovery_epochs,
        include=config.space.include or None,
        exclude=config.space.exclude or None,
        seed=seed,
        quality=quality_of(task.metrics, config.objectives),
    )


def _scan_channels(
    config: StudyConfig, task: Task, dense: Trajectory, seed: int, clock: Clock | None
) -> Scan:
    return scan_channels(
        task,
        dense.states[dense_steps(task)],
        _plan_of_channels(config, seed),
        levels=config.sensitivity.levels,
        recovery_epochs=config.sensitivity.recovery_epochs,
        quality=quality_of(task.metrics, config.objectives),
        start=dense.states[0],
        clock=clock,
    )


def _plan_of_channels(config: StudyConfig, seed: int) -> PruningPlan:
    """What a scan takes out: as the space does, by its first saliency."""
    space = config.space
    return PruningPlan(
        structure=space.structure,
        sparsity=0.0,
        saliency=options(space.saliency)[0],
        width_multiple=space.width_multiple,
        include=space.include,
        exclude=space.exclude,
        seed=seed,
    )


def clock_of(config: StudyConfig, task: Task) -> Clock | None:
    """Predicts latencies where the study measures them: once, for the networks of all seeds."""
    if config.latency.settings is None:
        return None
    space = config.space
    masked = mask_layers(build_model(task, 0), space.include or None, space.exclude or None)
    return clock_for(task, masked, Timing(**config.latency.settings))


def shared_runs(config: StudyConfig) -> SharedRuns | None:
    """Where studies on the same storage share dense runs, if this one does."""
    if not config.resources.share_trajectories:
        return None
    folder = Folder(config.study.storage_path).child(SHARED_DIR)
    return SharedRuns(folder, int(config.resources.trajectory_store_gb * 1e9))


def _on_a_worker(work: Any, needs: dict[str, float], location: str) -> Any:
    remote = ray.remote(num_cpus=needs["cpu"], num_gpus=needs["gpu"])(work)
    return ray.get(remote.remote(location))


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


def to_parquet(records: Sequence[SensitivityRecord]) -> bytes:
    """A scan as a table; columns that no record fills are left out."""
    rows = [record.model_dump(exclude_none=True) for record in records]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()
