"""The network of a trial after one of its rounds, found in a study, and seeds it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from study.configuration.loading import StudyConfig
from study.errors import UsageError, unknown_name
from study.exporting.networks import find_round, study_config
from study.files.documents import needed
from study.pruning.plan import PruningPlan
from study.records import (
    ORIGIN_FILE,
    PLAN_FILE,
    REPLICATE,
    TASK_FILE,
    TRIALS_DIR,
    Origin,
    TaskRecord,
)
from study.storage import Folder


@dataclass(frozen=True)
class Point:
    """The network of a trial after one of its rounds."""

    config: StudyConfig
    trial_id: str
    plan: PruningPlan
    round: int
    key: str
    task_arguments: dict[str, Any]


def task_record(study: Folder) -> TaskRecord:
    """What a study says of its task.

    Raises
    ------
    UsageError
        If it says nothing: it was made by an older version.
    """
    if not study.exists(TASK_FILE):
        raise UsageError(
            f"{study.location}: has no {TASK_FILE}, so its dense runs cannot be told; it was made "
            "by an older version. Run the study again."
        )
    return needed(study, TaskRecord, TASK_FILE)


def find_point(study: Folder, trial_id: str, round_: int | None = None) -> Point:
    """Look a trial's round up in a study folder.

    Parameters
    ----------
    study
        Folder of a study.
    trial_id
        A trial of it.
    round_
        One of its finished rounds; None is the last.

    Raises
    ------
    UsageError
        If there is no such study, trial or round.
    """
    found = find_round(study, trial_id, round_)
    config = study_config(study)
    key, arguments = task_record(study).key, config.task_arguments()
    return Point(config, trial_id, found.plan, found.round, key, arguments)


def find_searched(study: Folder, trial_id: str, round_: int | None = None) -> Point:
    """As :func:`find_point`, of a trial that is to be run again on new seeds.

    Raises
    ------
    UsageError
        Also if the trial is itself a replicate: of those nothing is confirmed.
    """
    if study.exists(TRIALS_DIR) and not study.exists(TRIALS_DIR, trial_id, PLAN_FILE):
        searched = (each for each in study.folders(TRIALS_DIR) if REPLICATE not in each)
        raise unknown_name("trial", trial_id, searched)
    origin = _origin(study, trial_id)
    if origin is not None:
        raise UsageError(
            f"--trial: {trial_id!r} is a replicate, on a new seed, of trial {origin.of}; give "
            f"--trial {origin.of} to run that again."
        )
    return find_point(study, trial_id, round_)


def _origin(study: Folder, trial_id: str) -> Origin | None:
    """Of what a trial is a replicate; None of those that the search asked for."""
    if not study.exists(TRIALS_DIR, trial_id, ORIGIN_FILE):
        return None
    return needed(study, Origin, TRIALS_DIR, trial_id, ORIGIN_FILE)


def new_seeds(config: StudyConfig, count: int) -> list[int]:
    """The first so many seeds after all that the search and its sensitivity scan used.

    Parameters
    ----------
    config
        Of the study.
    count
        How many.

    Raises
    ------
    UsageError
        If ``count`` is below 1.
    """
    if count < 1:
        raise UsageError(f"--seeds: {count} is not at least 1")
    is_scanned = config.sensitivity.scan or config.space.awaits_scan
    first = config.study.seed + (config.sensitivity.seeds if is_scanned else 1)
    return list(range(first, first + count))
