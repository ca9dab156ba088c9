"""The search of a study, from what is known before it to its last trial."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage

from study.pruning.states.dense_runs import stored_trajectory
from study.records import RESUME_DIR, SAMPLES_SPENT, SEARCH_SETTLED, TRIALS_DIR, SensitivityRecord
from study.storage import Folder
from study.tuning.preparing import Prepared
from study.tuning.ray.ray_session import worker_count
from study.tuning.search.journal import FolderJournal
from study.tuning.search.past import PastTrial
from study.tuning.search.samplers import make_sampler
from study.tuning.search.spending import spending_of
from study.tuning.search.telling import close_open_trials
from study.tuning.search.warm_start import warm_start_points
from study.tuning.trials.outcomes import OutcomeRecorder
from study.tuning.tuner import RAY_DIR, Search, make_tuner


def search_plans(
    prepared: Prepared,
    recorder: OutcomeRecorder,
    *,
    trajectory: str,
    scanned: Sequence[SensitivityRecord],
    past: Sequence[PastTrial],
    stop_file: tuple[str, ...],
    is_ending: Callable[[], bool],
    seconds_left: Callable[[], float | None],
) -> None:
    """Run all trials of a study, or those that are left.

    Parameters
    ----------
    prepared
        The study, its dense run trained.
    recorder
        Writes what happens.
    trajectory
        Name of the dense run.
    scanned
        What a scan of the layers found, if one was made.
    past
        Trials of an earlier run of the study.
    stop_file
        Where workers see that they are to stop.
    is_ending
        Whether no further trial is to begin.
    seconds_left
        Of the time budget; None without one.
    """
    config, folder = prepared.config, prepared.folder
    journal = FolderJournal(folder)
    spending = spending_of(folder, past, config.study.train_samples_budget)
    study = _optuna_study(prepared, JournalStorage(journal))
    search = Search(
        study=study,
        flush=journal.flush,
        known=_known_allocations(prepared, trajectory, scanned),
        past=past,
        spending=spending,
        stop_file=stop_file,
        is_ending=is_ending,
        time_s=seconds_left(),
    )
    tuner, searcher = make_tuner(prepared, recorder, search)
    detail = {"workers": worker_count(config), "floor_density": prepared.floor_density}
    recorder.note("search_started", detail)
    if not searcher.is_over:
        folder.remove(RAY_DIR)
        tuner.fit()
    left = seconds_left()
    if is_ending() or (left is not None and left <= 0):
        return  # open trials can go on
    if searcher.is_exhausted:
        recorder.note("space_exhausted", {"trials": len(folder.folders(TRIALS_DIR))})
    if searcher.is_settled:
        recorder.note(SEARCH_SETTLED, {"trials": len(folder.folders(TRIALS_DIR))})
    if spending.is_spent and not (searcher.has_all or searcher.is_exhausted or searcher.is_settled):
        recorder.note(SAMPLES_SPENT, {"train_samples": spending.spent, "budget": spending.budget})
    close_open_trials(study)
    journal.flush()
    if config.search.extend:
        _drop_kept_states(folder)


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


def _optuna_study(prepared: Prepared, storage: JournalStorage) -> optuna.Study:
    config = prepared.config
    ways = config.objective_columns.values()
    names = optuna.get_all_study_names(storage)  # another than ours where the folder was renamed
    study = optuna.create_study(
        study_name=names[0] if names else config.study.name,
        storage=storage,
        sampler=make_sampler(config.search.sampler, config.study.seed),
        directions=["maximize" if way == "max" else "minimize" for way in ways],
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of metric names
        study.set_metric_names(list(config.objectives))
    return study
