"""Ray Tune as a study wants it: its searcher, its early stopping, its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from ray import tune

from study.pruning.plan import PruningPlan
from study.storage import Folder
from study.tuning.aiming import aim_of
from study.tuning.dense_runs.on_workers import shared_runs
from study.tuning.early_stopping.history import make_yardstick
from study.tuning.early_stopping.scheduler import RoundScheduler, make_scheduler
from study.tuning.preparing import Prepared
from study.tuning.ray.cluster_watch import ClusterWatch
from study.tuning.ray.once_a_node import share_data, with_shared_object
from study.tuning.ray.ray_session import (
    asked_now_and_then,
    room_for_trials,
    trial_resources,
    worker_count,
)
from study.tuning.ray.worker_order import WaitingFirst
from study.tuning.search.extension import Extensions
from study.tuning.search.past import PastTrial, replay
from study.tuning.search.searcher import PlanSearcher
from study.tuning.search.spending import Spending
from study.tuning.search.stages.deciding import Deciding
from study.tuning.search.stages.outraced import Outraced
from study.tuning.search.textbook import textbook_plan
from study.tuning.tracking import ray_callbacks
from study.tuning.trials.outcomes import OutcomeRecorder
from study.tuning.trials.trainable import PipelineTrainable
from study.tuning.trials.trial_writer import begin_trial

RAY_DIR = "ray"
"""Ray Tune's own files within a study folder. Nothing reads them."""

MOST_PENDING = 1000
"""Workers that may be starting at a time. Without a number, Tune starts each only when the one
before it runs; how many trials are under way, the searcher says."""


@dataclass(frozen=True)
class Search:
    """What a search works with.

    Parameters
    ----------
    study
        Optuna's.
    flush
        Writes what Optuna has noted.
    known
        Points to take first.
    past
        Trials of an earlier run of the study.
    spending
        What these took, and the scan.
    stop_file
        Where workers see that they are to stop.
    is_ending
        Whether no further trial is to begin.
    time_s
        Seconds that are left; None for no end.
    """

    study: optuna.Study
    flush: Callable[[], None]
    known: Sequence[Mapping[str, Any]]
    past: Sequence[PastTrial]
    spending: Spending
    stop_file: tuple[str, ...]
    is_ending: Callable[[], bool]
    time_s: float | None


def make_tuner(
    prepared: Prepared, recorder: OutcomeRecorder, own: Search
) -> tuple[tune.Tuner, PlanSearcher]:
    """Tune over the plans of a study, and the searcher in it."""
    config, folder = prepared.config, prepared.folder
    resources, search, shared = config.resources, config.search, shared_runs(config)
    workers = asked_now_and_then(lambda: worker_count(config))
    textbook = _textbook(prepared)
    stages = None
    if search.sampler == "stages":
        assert textbook is not None
        stages = aim_of(prepared, textbook)
    if stages is not None and search.early_stopping == "outraced":
        early: RoundScheduler | None = RoundScheduler(workers, "outraced", Outraced(stages))
    else:
        early = make_scheduler(config, prepared.layers, workers)
    recorder.early_stopping = early
    if early is not None:
        replay(early, own.past)
    searcher = PlanSearcher(
        own.study,
        config.space,
        prepared.drawn,
        objectives=list(config.objective_columns),
        seed=config.study.seed,
        trial_config={
            "folder": folder.location,
            "task": with_shared_object(prepared.task_arguments),
            "data": share_data(prepared.task.data, prepared.task.device),
            "task_key": prepared.key,
            "cpus": resources.cpus_per_trial,
            "latency": config.latency.settings,
            "checkpoint_interval_s": resources.checkpoint_interval_s,
            "extensible": search.extend,
            "shared_runs": None if shared is None else shared.arguments,
            "stop": own.stop_file,
        },
        sampler=search.sampler,
        every_round=search.every_round,
        exploration=search.exploration,
        num_samples=config.study.num_samples,
        spending=own.spending,
        constraints=search.parsed_constraints,
        room=lambda: room_for_trials(workers(), resources.max_concurrent),
        extensions=_extensions(prepared) if search.extend else None,
        first=textbook,
        known=own.known,
        scanned=prepared.scanned,
        past=own.past,
        begun=lambda name, plan, is_extension: begin_trial(
            folder, name, plan, is_extension=is_extension
        ),
        flush=own.flush,
        is_ending=own.is_ending,
        was_stopped=lambda name: early is not None and early.has_stopped(name),
        stages=None if stages is None else Deciding(stages, own.past),
    )
    tuner = tune.Tuner(
        tune.with_resources(PipelineTrainable, trial_resources(config)),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=early or WaitingFirst(workers),
            num_samples=-1,  # the searcher says when it is enough: an extension is no new trial
            max_concurrent_trials=MOST_PENDING,
            time_budget_s=own.time_s,
            reuse_actors=True,
            trial_name_creator=_title,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=RAY_DIR,
            **_place(folder),
            callbacks=[recorder, ClusterWatch(), *ray_callbacks(config)],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=resources.max_failures),
        ),
    )
    return tuner, searcher


def _place(folder: Folder) -> dict[str, Any]:
    """Where Tune keeps its own files; a URI's query is nothing that it understands."""
    if folder.local_path is not None:
        return {"storage_path": folder.location}
    filesystem, path = folder.pyarrow
    return {"storage_path": path, "storage_filesystem": filesystem}


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
