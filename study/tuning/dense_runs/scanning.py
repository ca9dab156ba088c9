"""The scan of layers, made on a worker before the search."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.values import options
from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.objectives import quality_of
from study.pruning.masking.masks import mask_layers
from study.pruning.plan import PruningPlan
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
from study.tasks.task import Task
from study.tuning.dense_runs.on_workers import OnWorkers, seeds_of, shared_runs, task_on_worker
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.ending import StopWatch
from study.tuning.preparing import Prepared


def scan_layers(prepared: Prepared, on_workers: OnWorkers) -> Scan:
    """Scan the layers of one dense network for each seed, and keep what was found.

    The first is the network that all trials start from. The dense runs of the others are for the
    scan alone, and charged to it.
    """
    config = prepared.config
    key, arguments = prepared.key, prepared.task_arguments

    def work(location: str, stop_file: tuple[str, ...]) -> Scan:
        task = task_on_worker(config, arguments)
        stop = StopWatch(Folder(location), stop_file)
        records: list[SensitivityRecord] = []
        spent, clock = 0, None
        whole = Segment(dense_steps(task), lr_step=0, lr_moves=True, data_step=0)
        for seed in range(config.study.seed, config.study.seed + config.sensitivity.seeds):
            seeds = seeds_of(seed)
            name = trajectory_name(key, seeds)
            dense = ensure_trajectory(
                Folder(location), name, task, seeds, [], shared_runs(config), stop
            )
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

    found: Scan = on_workers.run(work)
    if found.records:
        prepared.folder.write(to_parquet(found.records, found.train_samples), SENSITIVITY_FILE)
    return found


def stored_scan(study: Folder) -> Scan | None:
    """The scan that a study keeps; None where it has none yet.

    Raises
    ------
    UsageError
        If its file is damaged.
    """
    if not study.exists(SENSITIVITY_FILE):
        return None
    try:
        table = pq.read_table(io.BytesIO(study.read(SENSITIVITY_FILE)))
        records = tuple(SensitivityRecord.model_validate(_filled(r)) for r in table.to_pylist())
        return Scan(records, int((table.schema.metadata or {}).get(_SPENT, b"0")))
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(
            f"{study.location}/{SENSITIVITY_FILE} is damaged: {error}. Remove it, and the layers "
            "are scanned again."
        ) from error


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


_SPENT = b"train_samples"


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


def to_parquet(records: Sequence[SensitivityRecord], train_samples: int = 0) -> bytes:
    """A scan as a table, with what it cost; columns that no record fills are left out."""
    rows = [record.model_dump(exclude_none=True) for record in records]
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.replace_schema_metadata({_SPENT: str(train_samples)}), buffer)
    return buffer.getvalue()
