"""Run a prepared study on Ray Tune, or what is left of it, and record how that ends."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import format_exc

from study.errors import NothingToReportError, StudyFailedError, UsageError
from study.interrupts import Interrupted, Interrupts
from study.owners import Claim, claim, one_line
from study.records import ERROR_FILE, SensitivityRecord
from study.storage import Folder
from study.tuning.beginning import begin_study
from study.tuning.dense_runs.on_workers import OnWorkers, train_dense_run
from study.tuning.dense_runs.rehearsing import rehearse_on_workers
from study.tuning.ending import StopRequestedError
from study.tuning.preparing import Prepared, check_scan
from study.tuning.ray.ray_session import ray_session, trial_resources
from study.tuning.scanning import scan_first
from study.tuning.search.past import PastTrial
from study.tuning.searching import search_plans
from study.tuning.trials.outcomes import Listener


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
    StudyFailedError
        If what was done within failed, and not the trials; it is on record.
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
        run, finished = None, None
        try:
            run = _Run(prepared, listener, held, needs, past)
            finished = run.do(work, interrupts)
            yield finished
        except Exception as error:
            _failed(error, held, run, finished)
            raise
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


def _failed(error: Exception, held: Claim, run: _Run | None, finished: Finished | None) -> None:
    """Record that a study failed in what was done before or after its trials.

    Raises
    ------
    StudyFailedError
        Of every error that is not the user's to mend, such as that of a full disk. Where the trials
        had failed, what comes after fails of the same, and what they failed of is told.
    """
    before = "" if finished is None else finished.failure
    why = before or one_line(error)
    if run is not None and not before:
        run.fail(why)
    with contextlib.suppress(OSError):
        held.release("failed", why)
    if before or not isinstance(error, UsageError | NothingToReportError):
        raise StudyFailedError(why) from error


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
        self.recorder = begin_study(prepared, listener, past)
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
        except UsageError:
            raise
        except Exception as error:
            failure = one_line(error)
            self.fail(failure)
        failure = failure or self.held.lost
        left = self.seconds_left()
        out_of_time = out_of_time or (left is not None and left <= 0)
        if interrupts.signum is not None:
            ended, code = "study_interrupted", 128 + interrupts.signum
        if not failure:
            self.recorder.close_unfinished()
            self.recorder.note(ended, {"out_of_time": True} if out_of_time else {})
        return Finished(self.folder, self.recorder.failed, code, out_of_time, failure)

    def fail(self, why: str) -> None:
        """Record that the study failed; where even that fails, its owner's silence tells of it."""
        self.recorder.interrupted()
        records: tuple[Callable[[], None], ...] = (
            lambda: self.folder.write(format_exc(), ERROR_FILE),
            self.recorder.close_unfinished,
            lambda: self.recorder.note("study_failed", {"why": why}),
        )
        for record in records:
            with contextlib.suppress(OSError):  # of a full disk: one may fit and not another
                record()

    def search(self) -> None:
        """Train the dense run, scan where that is asked for, and run all trials."""
        name = self._train_dense()
        prepared, scanned = self.prepared, list[SensitivityRecord]()
        if prepared.config.sensitivity.scan or prepared.config.space.awaits_scan:
            prepared, scanned = self.scan()
        search_plans(
            prepared,
            self.recorder,
            trajectory=name,
            scanned=scanned,
            past=self.past,
            stop_file=self.held.stop_file,
            is_ending=lambda: self._is_ending,
            seconds_left=self.seconds_left,
        )

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
