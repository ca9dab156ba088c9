"""Run a prepared study on Ray Tune."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray import tune

from search_spaces.values import options
from study.configuration.loading import StudyConfig, to_toml
from study.configuration.widths import note_on_widths
from study.objectives import quality_of
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.sensitivity.thresholds import scanned_drops, sparsity_thresholds
from study.pruning.states.dense_runs import stored_trajectory
from study.records import (
    JOURNAL_FILE,
    PROVENANCE_FILE,
    RESUME_DIR,
    STUDY_FILE,
    TASK_FILE,
    TRIALS_DIR,
    SensitivityRecord,
    TaskRecord,
)
from study.storage import Folder
from study.tuning.dense_runs.on_workers import scan_layers, shared_runs, train_dense_run
from study.tuning.dense_runs.rehearsing import rehearse_on_workers
from study.tuning.early_stopping.history import make_yardstick
from study.tuning.early_stopping.scheduler import make_scheduler
from study.tuning.preparing import Prepared, check_scan
from study.tuning.provenance import collect
from study.tuning.ray.once_a_node import share_data, with_shared_object
from study.tuning.ray.ray_session import (
    asked_now_and_then,
    ray_session,
    room_for_trials,
    trial_resources,
    worker_count,
)
from study.tuning.ray.worker_order import WaitingFirst
from study.tuning.search.extension import Extensions
from study.tuning.search.first_plans import scanned_plan
from study.tuning.search.searcher import PlanSearcher, close_open_trials, make_sampler
from study.tuning.search.textbook import textbook_plan
from study.tuning.search.warm_start import warm_start_points
from study.tuning.tracking import TensorBoardWriter, ray_callbacks
from study.tuning.trials.outcomes import Listener, OutcomeRecorder
from study.tuning.trials.trainable import PipelineTrainable

RAY_DIR = "ray"
"""Ray Tune's own files within a study folder."""

MOST_PENDING = 1000
"""Workers that may be starting at a time. Without a number, Tune starts each only when the one
before it runs; how many trials are under way, the searcher says."""


@dataclass(frozen=True)
class Finished:
    """How a study ended."""

    folder: Folder
    failed_trials: int
    interrupted: bool


def run_study(prepared: Prepared, listener: Listener) -> Finished:
    """Run all trials of a study.

    Parameters
    ----------
    prepared
        The study; its folder does not exist yet.
    listener
        Told of every event.

    Returns
    -------
    Finished
        Also after an interrupt (Ctrl-C), when what was finished is on disk.
    """
    config, folder = prepared.config, prepared.folder
    interrupted = False
    with ray_session():
        rehearse_on_workers(prepared, trial_resources(config))
        recorder = _begin(prepared, listener)
        try:
            with _journal(folder) as journal:
                name = _train_dense(prepared, recorder)
                records: list[SensitivityRecord] = []
                if config.sensitivity.scan or config.space.awaits_scan:
                    prepared, records = _scan(prepared, recorder)
                search = _optuna_study(config, journal)
                known = _known_allocations(prepared, name, records)
                workers, floor = worker_count(config), prepared.floor_density
                detail = {"workers": workers, "floor_density": floor}
                recorder.note("search_started", detail)
                try:
                    _tuner(prepared, recorder, search, known).fit()
                finally:
                    close_open_trials(search)
                if config.search.extend:
                    _drop_kept_states(folder)
        except KeyboardInterrupt:
            interrupted = True
        recorder.close_unfinished(interrupted)
    recorder.note("study_interrupted" if interrupted else "study_finished", {})
    return Finished(folder, recorder.failed, interrupted)


def _tuner(
    prepared: Prepared,
    recorder: OutcomeRecorder,
    study: optuna.Study,
    known: Sequence[Mapping[str, Any]],
) -> tune.Tuner:
    config = prepared.config
    resources, search, shared = config.resources, config.search, shared_runs(config)
    workers = asked_now_and_then(lambda: worker_count(config))
    recorder.early_stopping = make_scheduler(config, prepared.layers, workers)
    searcher = PlanSearcher(
        study,
        config.space,
        prepared.drawn,
        objectives=list(config.objective_columns),
        seed=config.study.seed,
        trial_config={
            "folder": prepared.folder.location,
            "task": with_shared_object(prepared.task_arguments),
            "data": share_data(prepared.task.data, prepared.task.device),
            "task_key": prepared.key,
            "cpus": resources.cpus_per_trial,
            "latency": config.latency.settings,
            "checkpoint_interval_s": resources.checkpoint_interval_s,
            "extensible": search.extend,
            "shared_runs": None if shared is None else shared.arguments,
        },
        every_round=search.every_round,
        exploration=search.exploration,
        num_samples=config.study.num_samples,
        constraints=search.parsed_constraints,
        room=lambda: room_for_trials(workers(), resources.max_concurrent),
        extensions=_extensions(prepared) if search.extend else None,
        first=_textbook(prepared),
        known=known,
        scanned=prepared.scanned,
    )
    return tune.Tuner(
        tune.with_resources(PipelineTrainable, trial_resources(config)),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=recorder.early_stopping or WaitingFirst(workers),
            num_samples=-1,  # the searcher says when it is enough: an extension is no new trial
            max_concurrent_trials=MOST_PENDING,
            time_budget_s=config.search_time_s,
            reuse_actors=True,
            trial_name_creator=_title,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=RAY_DIR,
            storage_path=prepared.folder.location,
            callbacks=[recorder, *ray_callbacks(config)],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=resources.max_failures),
        ),
    )


def scan_only(prepared: Prepared, listener: Listener) -> Folder:
    """Make the sensitivity scan of a study, and run no trial."""
    check_scan(prepared.config.space)
    with ray_session():
        rehearse_on_workers(prepared, trial_resources(prepared.config))
        recorder = _begin(prepared, listener)
        _scan(prepared, recorder)
    recorder.note("study_finished", {})
    return prepared.folder


def _begin(prepared: Prepared, listener: Listener) -> OutcomeRecorder:
    """Write what is known of a study before it runs."""
    config, folder = prepared.config, prepared.folder
    folder.write(to_toml(config), STUDY_FILE)
    note = note_on_widths(config)
    provenance = collect(config.study.name, prepared.task, [] if note is None else [note])
    folder.write(provenance.model_dump_json(indent=2), PROVENANCE_FILE)
    task = TaskRecord(name=prepared.task.name, key=prepared.key, metrics=prepared.task.metrics)
    folder.write(task.model_dump_json(indent=2), TASK_FILE)
    listeners = [listener]
    if "tensorboard" in config.study.tracking and folder.local_path is not None:
        listeners.append(TensorBoardWriter(folder.local_path))
    recorder = OutcomeRecorder(folder, listeners, config.study.time_budget_s is not None)
    recorder.note("study_started", {"num_samples": config.study.num_samples})
    return recorder


def _train_dense(prepared: Prepared, recorder: OutcomeRecorder) -> str:
    recorder.note("training_dense_run", {})
    name, wall_s = train_dense_run(prepared, trial_resources(prepared.config))
    recorder.note("dense_run_ready", {"trajectory": name, "wall_s": wall_s})
    return name


def _scan(
    prepared: Prepared, recorder: OutcomeRecorder
) -> tuple[Prepared, list[SensitivityRecord]]:
    """Scan the layers; where the space waits for what is found, it is filled in."""
    config = prepared.config
    recorder.note("scanning_layers", {})
    found = scan_layers(prepared, trial_resources(config))
    records = list(found.records)
    quality = quality_of(prepared.task.metrics, config.objectives)
    highest = sparsity_thresholds(records, config.sensitivity.tolerated_drop, quality)
    if not records:  # the dense network diverged: trials will end with it, whatever their bounds
        highest = dict.fromkeys((layer.name for layer in prepared.drawn), 0.5)
    detail = {"thresholds": highest, "train_samples": found.train_samples}
    recorder.note("sensitivity_scanned", detail)
    if prepared.sets is not None and "sensitivity" in options(config.space.allocation):
        scanned = (
            scanned_drops(records)
            if records
            else prepared.sets.straight(max(config.sensitivity.levels))
        )
        run_pipeline(scanned_plan(config, prepared.plans[0], scanned), prepared.task)
        prepared = replace(prepared, scanned=scanned)
    if not config.space.awaits_bounds:
        return prepared, records
    headroom = config.sensitivity.headroom
    ceilings = {layer: 1.0 - (1.0 - level) / headroom for layer, level in highest.items()}
    recorder.note("space_bounded", {"highest_sparsity": ceilings})
    space = config.space.with_bounds(ceilings)
    return replace(prepared, config=config.model_copy(update={"space": space})), records


def _drop_kept_states(folder: Folder) -> None:
    """Take away what trials kept for further rounds: there will be none."""
    for trial_id in folder.folders(TRIALS_DIR):
        folder.child(TRIALS_DIR, trial_id).remove(RESUME_DIR)


def _known_allocations(
    prepared: Prepared, trajectory: str, records: Sequence[SensitivityRecord]
) -> list[dict[str, Any]]:
    config, dense = prepared.config, stored_trajectory(prepared.folder, trajectory)
    if config.space.function is not None or dense is None:
        return []
    # Half of the trials, the textbook run among them; the rest is for the search.
    most = (config.study.num_samples + 1) // 2 - config.search.textbook
    return warm_start_points(
        config.space,
        prepared.drawn,
        prepared.task,
        dense,
        records,
        config.search.warm_start,
        config.search.warm_start_densities,
        most,
        prepared.sets,
    )


def _optuna_study(config: StudyConfig, storage: JournalStorage) -> optuna.Study:
    ways = config.objective_columns.values()
    study = optuna.create_study(
        study_name=config.study.name,
        storage=storage,
        sampler=make_sampler(config.search.sampler, config.study.seed),
        directions=["maximize" if way == "max" else "minimize" for way in ways],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of metric names
        study.set_metric_names(list(config.objectives))
    return study


def _textbook(prepared: Prepared) -> PruningPlan | None:
    config = prepared.config
    if not config.search.textbook:
        return None
    by_set = prepared.sets is not None and config.space.form == "per_layer"
    floor = prepared.floor_density if by_set else None
    return textbook_plan(config.space, prepared.layers, prepared.task, config.study.seed, floor)


def _extensions(prepared: Prepared) -> Extensions:
    yardstick = make_yardstick(prepared.config, "search.extend")
    space, metrics = prepared.config.space, prepared.task.metrics
    floor = prepared.floor_density
    # A space that prunes nothing has no floor of its own.
    floors = {"floor_density": floor} if floor < 1.0 else {}
    return Extensions(yardstick, space, prepared.drawn, metrics, **floors)


def _title(trial: Any) -> str:
    """What Ray's dashboard calls a trial: its name in the study folder, and its plan in short."""
    plan = trial.config["plan"]
    what = (plan["allocation"], f"{plan['schedule']}{plan['rounds']}", plan["retrain"])
    return "-".join([_name(trial), *(word.replace(":", ".") for word in what)])


def _name(trial: Any) -> str:
    first = trial.config["first_round"]
    return f"{trial.config['id']}-from-round-{first}" if first else str(trial.config["id"])


@contextmanager
def _journal(folder: Folder) -> Iterator[JournalStorage]:
    """Optuna's journal: in the study folder, or copied there at the end where that is remote."""
    path = folder.local_path
    if path is not None:
        yield JournalStorage(JournalFileBackend(str(path / JOURNAL_FILE)))
        return
    with TemporaryDirectory() as scratch:
        local = Path(scratch) / JOURNAL_FILE
        try:
            yield JournalStorage(JournalFileBackend(str(local)))
        finally:
            folder.write(local.read_bytes(), JOURNAL_FILE)
