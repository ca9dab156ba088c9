"""The scan of layers, made on a worker before the search."""

from __future__ import annotations

from search_spaces.values import options
from study.configuration.loading import StudyConfig
from study.objectives import quality_of
from study.pruning.masking.choosing import mask_layers
from study.pruning.plan import PruningPlan
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.sensitivity.found import Scan, Watcher
from study.pruning.sensitivity.savings import Clock, clock_for
from study.pruning.sensitivity.weights import scan
from study.pruning.states.dense_runs import trajectory_name
from study.pruning.timing import Timing
from study.pruning.training.steps import Segment, samples_in
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.records import SensitivityRecord
from study.storage import Folder
from study.tasks.task import Task
from study.tuning.dense_runs.on_workers import OnWorkers, seeds_of, shared_runs, task_on_worker
from study.tuning.dense_runs.scan_files import ScannedLayers, write_scan
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.ending import StopWatch
from study.tuning.preparing import Prepared


def scan_layers(prepared: Prepared, on_workers: OnWorkers) -> Scan:
    """Scan the layers of one dense network for each seed, and keep what was found.

    Layers that an earlier attempt finished are not scanned again. The first network is the one
    that all trials start from. The dense runs of the others are for the scan alone, and charged
    to it.
    """
    config = prepared.config
    key, arguments = prepared.key, prepared.task_arguments

    def work(location: str, stop_file: tuple[str, ...]) -> Scan:
        task = task_on_worker(config, arguments)
        study = Folder(location)
        stop = StopWatch(study, stop_file)
        layers = ScannedLayers(study, config.sensitivity, stop)
        records: list[SensitivityRecord] = []
        spent, clock = 0, None
        whole = Segment(dense_steps(task), lr_step=0, lr_moves=True, data_step=0)
        for seed in range(config.study.seed, config.study.seed + config.sensitivity.seeds):
            seeds = seeds_of(seed)
            name = trajectory_name(key, seeds)
            dense = ensure_trajectory(study, name, task, seeds, [], shared_runs(config), stop)
            if config.space.structure == "weights":
                found = _scan_weights(config, task, dense, seed, layers.of(seed))
            else:
                clock = clock or clock_of(config, task)
                found = _scan_channels(config, task, dense, seed, clock, layers.of(seed))
            records += found.records
            spent += found.train_samples
            if seed != config.study.seed:
                spent += samples_in(task, whole)
        return Scan(tuple(records), spent)

    found: Scan = on_workers.run(work)
    write_scan(prepared.folder, found)
    return found


def _scan_weights(
    config: StudyConfig, task: Task, dense: Trajectory, seed: int, watcher: Watcher
) -> Scan:
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
        watcher=watcher,
    )


def _scan_channels(
    config: StudyConfig,
    task: Task,
    dense: Trajectory,
    seed: int,
    clock: Clock | None,
    watcher: Watcher,
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
        watcher=watcher,
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
