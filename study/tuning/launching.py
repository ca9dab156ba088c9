"""Run a prepared study on Ray Tune, or what is left of it, and record how that ends."""

from __future__ import annotations

import contextlib
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import format_exc
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage

from study.configuration.loading import to_toml
from study.configuration.widths import note_on_widths
from study.errors import StudyFailedError, UsageError
from study.interrupts import Interrupted, Interrupts
from study.owners import Claim, claim, one_line
from study.pruning.states.dense_runs import stored_trajectory
from study.records import (
    ERROR_FILE,
    PROVENANCE_FILE,
    RESUME_DIR,
    STUDY_FILE,
    TASK_FILE,
    TRIALS_DIR,
    SensitivityRecord,
    TaskRecord,
)
from study.storage import Folder
from study.tuning.dense_runs.on_workers import OnWorkers, train_dense_run
from study.tuning.dense_runs.rehearsing import rehearse_on_workers
from study.tuning.ending import StopRequestedError
from study.tuning.preparing import Prepared, check_scan
from study.tuning.provenance import collect
from study.tuning.ray.ray_session import ray_session, trial_resources, worker_count
from study.tuning.scanning import scan_first
from study.tuning.search.journal import FolderJournal
from study.tuning.search.past import PastTrial
from study.tuning.search.samplers import make_sampler
from study.tuning.search.telling import close_open_trials
from study.tuning.search.warm_start import warm_start_points
from study.tuning.tracking import TensorBoardWriter
from study.tuning.trials.outcomes import Listener, OutcomeRecorder
from study.tuning.trials.trial_writer import forget
from study.tuning.tuner import RAY_DIR, Search, make_tuner


@dataclass(frozen=True)
class Finished:
    """How a study ended.

    Parameters
    ----------
    folder
        Of the study.
    failed_trials
        How many trials failed.
    exit_code
        What the process is to end with because of a signal; 0 where there was none.
    out_of_time
        Whether the time budget cut something off.
    failure
        In a line, what made the study as a whole fail; empty where it did not.
    """

    folder: Folder
    failed_trials: int = 0
    exit_code: int = 0
    out_of_time: bool = False
    failure: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it; what was finished is on disk."""
        return self.exit_code != 0


def run_study(
    prepared: Prepared, listener: Listener, past: Sequence[PastTrial] | None = None
) -> Finished:
    """Run all trials of a study, as :func:`running_study`, with nothing to do afterwards.

    Raises
    ------
    StudyFailedError
        If the study as a whole failed; what it had finished is on disk.
    """
    with Interrupts() as interrupts, running_study(prepared, listener, interrupts, past) as ended:
        pass
    if ended.failure:
        raise StudyFailedError(ended.failure)
    return ended


@contextmanager
def running_study(
    prepared: Prepared,
    listener: Listener,
    interrupts: Interrupts,
    past: Sequence[PastTrial] | None = None,
) -> Iterator[Finished]:
    """Run all trials of a study, and hold its folder for what is done when they are over.

    Parameters
    ----------
    prepared
        The study; without ``past`` its folder does not exist yet.
    listener
        Told of every event.
    interrupts
        Heeds signals: the first one lets trials keep where they stand.
    past
        Trials of an earlier run that is gone on with.

    Yields
    ------
    Finished
        Also after an interrupt or a failure, when what was finished is on disk.

    Raises
    ------
    UsageError
        If somebody else holds the folder; nothing is written then.
    """
    with _running(prepared, listener, interrupts, past, _Run.search) as finished:
        yield finished


@contextmanager
def _running(
    prepared: Prepared,
    listener: Listener,
    interrupts: Interrupts,
    past: Sequence[PastTrial] | None,
    work: Callable[[_Run], object],
) -> Iterator[Finished]:
    with ray_session():
        needs = trial_resources(prepared.config)
        rehearse_on_workers(prepared, needs)
        held = claim(prepared.folder, is_new=past is None)
        try:
            finished = _Run(prepared, listener, held, needs, past).do(work, interrupts)
            yield finished
        except BaseException as error:
            is_interrupt = isinstance(error, KeyboardInterrupt)
            with contextlib.suppress(OSError):
                held.release("interrupted" if is_interrupt else "failed", one_line(error))
            raise
        if finished.failure:
            with contextlib.suppress(OSError):
                held.release("failed", finished.failure)
        else:
            held.release("interrupted" if finished.interrupted else "finished")


class _Run:
    """One run of a study by one driver."""

    def __init__(
        self,
        prepared: Prepared,
        listener: Listener,
        held: Claim,
        needs: dict[str, float],
        past: Sequence[PastTrial] | None,
    ) -> None:
        self.prepared, self.folder, self.held = prepared, prepared.folder, held
        self.past = list(past or ())
        self._began = time.monotonic()
        self._is_ending = False
        self.recorder = _begin(prepared, listener, past)
        self.on_workers = OnWorkers(needs, self.folder.location, held.stop_file, self.seconds_left)

    def seconds_left(self) -> float | None:
        """Of the search's share of the time budget; None without a budget."""
        budget_s = self.prepared.config.search_time_s
        return None if budget_s is None else max(0.0, budget_s - (time.monotonic() - self._began))

    def stop(self) -> None:
        """Let workers keep where they stand, and begin nothing more."""
        self._is_ending = True
        self.recorder.interrupted()
        with contextlib.suppress(OSError):
            self.folder.write("", *self.held.stop_file)

    def do(self, work: Callable[[_Run], object], interrupts: Interrupts) -> Finished:
        """Do what is left of a run, and record how it ended."""
        ended, code, failure, out_of_time = "study_finished", 0, "", False
        try:
            with interrupts.asking(self.stop):
                work(self)
        except (StopRequestedError, KeyboardInterrupt):
            self.recorder.interrupted()
            interrupts.signum = interrupts.signum or signal.SIGINT
        except TimeoutError:
            out_of_time = True
        except UsageError as error:
            self._fail(one_line(error))
            raise
        except Exception as error:
            failure = one_line(error)
            self._fail(failure)
        failure = failure or self.held.lost
        left = self.seconds_left()
        out_of_time = out_of_time or (left is not None and left <= 0)
        if interrupts.signum is not None:
            ended, code = "study_interrupted", 128 + interrupts.signum
        if not failure:
            self.recorder.close_unfinished()
            self.recorder.note(ended, {"out_of_time": True} if out_of_time else {})
        return Finished(self.folder, self.recorder.failed, code, out_of_time, failure)

    def _fail(self, why: str) -> None:
        """Record that the study failed; where even that fails, its owner's silence tells of it."""
        with contextlib.suppress(OSError):
            self.folder.write(format_exc(), ERROR_FILE)
            self.recorder.interrupted()
            self.recorder.close_unfinished()
            self.recorder.note("study_failed", {"why": why})

    def search(self) -> None:
        """Train the dense run, scan where that is asked for, and run all trials."""
        name = self._train_dense()
        prepared, records = self.prepared, list[SensitivityRecord]()
        config = prepared.config
        if config.sensitivity.scan or config.space.awaits_scan:
            prepared, records = self.scan()
        journal = FolderJournal(self.folder)
        study = _optuna_study(prepared, JournalStorage(journal))
        search = Search(
            study=study,
            flush=journal.flush,
            known=_known_allocations(prepared, name, records),
            past=self.past,
            stop_file=self.held.stop_file,
            is_ending=lambda: self._is_ending,
            time_s=self.seconds_left(),
        )
        tuner, searcher = make_tuner(prepared, self.recorder, search)
        detail = {"workers": worker_count(config), "floor_density": prepared.floor_density}
        self.recorder.note("search_started", detail)
        if not searcher.is_over:
            self.folder.remove(RAY_DIR)
            tuner.fit()
        left = self.seconds_left()
        if self._is_ending or (left is not None and left <= 0):
            return  # open trials can go on
        if searcher.is_exhausted:
            self.recorder.note("space_exhausted", {"trials": len(self.folder.folders(TRIALS_DIR))})
        if searcher.is_settled:
            self.recorder.note("search_settled", {"trials": len(self.folder.folders(TRIALS_DIR))})
        close_open_trials(study)
        journal.flush()
        if config.search.extend:
            _drop_kept_states(self.folder)

    def scan(self) -> tuple[Prepared, list[SensitivityRecord]]:
        """Scan the layers; a space that waits for what is found, is filled in."""
        return scan_first(self.prepared, self.recorder.note, self.on_workers)

    def _train_dense(self) -> str:
        self.recorder.note("training_dense_run", {})
        name, wall_s = train_dense_run(self.prepared, self.on_workers)
        self.recorder.note("dense_run_ready", {"trajectory": name, "wall_s": wall_s})
        return name


def scan_only(prepared: Prepared, listener: Listener) -> Folder:
    """Make the sensitivity scan of a study, and run no trial.

    Raises
    ------
    StudyFailedError
        If it failed; layers that were scanned are kept.
    Interrupted
        If a signal ended it; likewise.
    """
    check_scan(prepared.config.space)
    with (
        Interrupts() as interrupts,
        _running(prepared, listener, interrupts, None, _Run.scan) as ended,
    ):
        pass
    if ended.failure:
        raise StudyFailedError(ended.failure)
    if ended.interrupted:
        raise Interrupted(ended.exit_code - 128)
    return ended.folder


def _begin(
    prepared: Prepared, listener: Listener, past: Sequence[PastTrial] | None
) -> OutcomeRecorder:
    """Write what is known of a study before it runs."""
    config, folder = prepared.config, prepared.folder
    folder.write(to_toml(config), STUDY_FILE)
    for each in past or ():
        if each.is_restarted:
            forget(folder, each.name)
    if past is None:
        note = note_on_widths(config)
        provenance = collect(config.study.name, prepared.task, [] if note is None else [note])
        folder.write(provenance.model_dump_json(indent=2), PROVENANCE_FILE)
        task = TaskRecord(name=prepared.task.name, key=prepared.key, metrics=prepared.task.metrics)
        folder.write(task.model_dump_json(indent=2), TASK_FILE)
    listeners = [listener]
    if "tensorboard" in config.study.tracking and folder.local_path is not None:
        listeners.append(TensorBoardWriter(folder.local_path))
    recorder = OutcomeRecorder(
        folder,
        listeners,
        config.study.time_budget_s is not None,
        {each.name: each.results[-1]["round"] for each in past or () if each.results},
    )
    errored = [each for each in past or () if each.outcome and each.outcome.status == "errored"]
    recorder.failed = len(errored)
    for each in past or ():
        _show(each, listener)
    event = "study_started" if past is None else "study_resumed"
    recorder.note(event, {"num_samples": config.study.num_samples})
    return recorder


def _show(trial: PastTrial, listener: Listener) -> None:
    """Tell a display of what an earlier run did."""
    if trial.is_open or trial.outcome is None:
        return  # it tells of itself once it has a worker
    listener("trial_started", trial.name, {})
    for result in trial.results:
        listener("round_finished", trial.name, result)
    last = trial.results[-1] if trial.results else {}
    listener(f"trial_{trial.outcome.status}", trial.name, last)


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
