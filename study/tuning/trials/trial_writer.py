"""What one trial writes into the study folder, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.states.progress import Progress
from study.pruning.states.state_files import (
    progress_from_bytes,
    progress_to_bytes,
    weights_to_bytes,
)
from study.records import (
    ERROR_FILE,
    OUTCOME_FILE,
    PLAN_FILE,
    PROGRESS_FILE,
    RESUME_DIR,
    ROUNDS_FILE,
    TRIALS_DIR,
    RoundRecord,
    round_state_file,
)
from study.storage import Folder
from study.tuning.ending import StopRequestedError, StopWatch
from study.tuning.results import result_of


class TrialWriter:
    """Observes a pipeline and keeps its records, weights and checkpoints.

    Parameters
    ----------
    study
        The study's folder.
    trial_id
        Name of the trial in it.
    checkpoint_interval_s
        Least time between mid-round checkpoints.
    extensible
        Keep the state at the trial's end, so that it can go on with more rounds.
    directory
        Folder of the study in which the trial's folder is made.
    stop
        Says when to keep where the trial stands, and stop; None: never.
    """

    def __init__(
        self,
        study: Folder,
        trial_id: str,
        checkpoint_interval_s: float,
        extensible: bool = False,
        directory: str = TRIALS_DIR,
        stop: StopWatch | None = None,
    ) -> None:
        self.trial_id = trial_id
        self._folder = study.child(directory, trial_id)
        self._interval_s = checkpoint_interval_s
        self._extensible = extensible
        self._stop = stop
        self._last_round = 0
        self._last_checkpoint = time.monotonic()
        self._lines: list[str] = []

    def is_over(self, plan: PruningPlan) -> bool:
        """Whether the trial's whole way is on record, and nothing is left to begin.

        So it is where an attempt was cut off after its last round, before the driver heard of it.
        The record of a round is written last of all that a round leaves.
        """
        lines = self._recorded()
        if not lines or not result_of(RoundRecord.model_validate_json(lines[-1]), plan)["done"]:
            return False
        self._lines = lines
        return True

    def begin(self, plan: PruningPlan) -> Progress | None:
        """Write the plan; where an earlier attempt was cut off, say where it stood.

        What is kept at the end of a round has the round's record in it, so that a round is either
        finished or not, at whatever moment the attempt was cut off. Rounds of which no state was
        kept are run again, to the same result, so their records go.
        """
        for place in (self._folder, self._folder.child(RESUME_DIR)):
            place.sweep()
        _write_plan(self._folder, plan)
        self._last_round = plan.rounds
        self._lines = []
        progress = None
        if self._folder.exists(RESUME_DIR, PROGRESS_FILE):
            progress = progress_from_bytes(self._folder.read(RESUME_DIR, PROGRESS_FILE))
            finished = progress.round + progress.measured
            # By their rounds: a control begins where its replicate was, and not at round 0.
            lines = {RoundRecord.model_validate_json(each).round: each for each in self._recorded()}
            if progress.record is not None:
                lines.setdefault(finished - 1, progress.record)
            self._lines = [lines[each] for each in sorted(lines) if each < finished]
            self._write_rounds()
        return progress

    @property
    def finished(self) -> list[RoundRecord]:
        """Records of the rounds that are finished."""
        return [RoundRecord.model_validate_json(line) for line in self._lines]

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        """Keep the state within a round, if the last time is long enough ago.

        Raises
        ------
        StopRequestedError
            Once it is kept, where the study is to end.
        """
        stops = self._stop is not None and self._stop.is_asked()
        if stops or time.monotonic() - self._last_checkpoint >= self._interval_s:
            self._keep(progress())
        if stops:
            raise StopRequestedError

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        """Keep a round: its weights, then where it ends with its record, then the record's line."""
        facts = {"trial_id": self.trial_id, "round": record.round, "mask_hash": record.mask_hash}
        if record.round > 0:
            self._folder.write(weights_to_bytes(masked, facts), round_state_file(record.round))
        line = record.model_copy(update={"trial_id": self.trial_id}).to_json()
        if self._extensible or record.round < self._last_round:
            self._keep(replace(progress(), record=line))
        self._lines.append(line)
        self._write_rounds()

    def _keep(self, progress: Progress) -> None:
        self._folder.write(progress_to_bytes(progress), RESUME_DIR, PROGRESS_FILE)
        self._last_checkpoint = time.monotonic()

    def end(self) -> None:
        """The trial has come to its end: there is nothing to resume, unless it is extended."""
        if not self._extensible:
            self._folder.remove(RESUME_DIR)

    def failed(self, traceback: str) -> None:
        """Keep what went wrong, for whoever reads the trial's outcome."""
        self._folder.write(traceback, ERROR_FILE)

    def _recorded(self) -> list[str]:
        known = self._folder.exists(ROUNDS_FILE)
        return self._folder.read(ROUNDS_FILE).decode().splitlines() if known else []

    def _write_rounds(self) -> None:
        # Written whole each time: a few lines, and a reader never meets a torn one.
        self._folder.write("".join(f"{line}\n" for line in self._lines), ROUNDS_FILE)


def begin_trial(study: Folder, trial_id: str, plan: PruningPlan, *, is_extension: bool) -> None:
    """Write what a trial is to run, before it has a worker; an earlier end is none any more.

    How a trial ended that is given further rounds is kept: it tells where those begin.
    """
    trial = study.child(TRIALS_DIR, trial_id)
    _write_plan(trial, plan)
    if not is_extension:
        trial.remove(OUTCOME_FILE)
        trial.remove(ERROR_FILE)


def forget(study: Folder, trial_id: str) -> None:
    """Take away all that a trial has done, but for its plan."""
    for name in (RESUME_DIR, ROUNDS_FILE, OUTCOME_FILE, ERROR_FILE):
        study.child(TRIALS_DIR, trial_id).remove(name)


def _write_plan(trial: Folder, plan: PruningPlan) -> None:
    trial.write(plan.model_dump_json(indent=2), PLAN_FILE)
