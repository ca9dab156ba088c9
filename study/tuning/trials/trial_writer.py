"""What one trial writes into the study folder, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

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
    PLAN_FILE,
    PROGRESS_FILE,
    RESUME_DIR,
    ROUNDS_FILE,
    TRIALS_DIR,
    RoundRecord,
    round_state_file,
)
from study.storage import Folder


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
    """

    def __init__(
        self,
        study: Folder,
        trial_id: str,
        checkpoint_interval_s: float,
        extensible: bool = False,
        directory: str = TRIALS_DIR,
    ) -> None:
        self.trial_id = trial_id
        self._folder = study.child(directory, trial_id)
        self._interval_s = checkpoint_interval_s
        self._extensible = extensible
        self._last_round = 0
        self._last_checkpoint = time.monotonic()
        self._lines: list[str] = []

    def begin(self, plan: PruningPlan) -> Progress | None:
        """Write the plan; where an earlier attempt was cut off, say where it stood.

        Rounds that the earlier attempt finished after its last checkpoint are run again, to the
        same result, so their records go.
        """
        self._folder.write(plan.model_dump_json(indent=2), PLAN_FILE)
        self._last_round = plan.rounds
        progress = None
        if self._folder.exists(RESUME_DIR, PROGRESS_FILE):
            progress = progress_from_bytes(self._folder.read(RESUME_DIR, PROGRESS_FILE))
            finished = progress.round + progress.measured
            self._lines = self._folder.read(ROUNDS_FILE).decode().splitlines()[:finished]
            self._write_rounds()
        return progress

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        """Keep the state within a round, if the last time is long enough ago."""
        if time.monotonic() - self._last_checkpoint >= self._interval_s:
            self._folder.write(progress_to_bytes(progress()), RESUME_DIR, PROGRESS_FILE)
            self._last_checkpoint = time.monotonic()

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        """Keep a round: first its weights, then its record, so that a record has its weights."""
        facts = {"trial_id": self.trial_id, "round": record.round, "mask_hash": record.mask_hash}
        if record.round > 0:
            self._folder.write(weights_to_bytes(masked, facts), round_state_file(record.round))
        self._lines.append(self._line(record))
        self._write_rounds()
        if self._extensible and record.round == self._last_round:
            self._folder.write(progress_to_bytes(progress()), RESUME_DIR, PROGRESS_FILE)
        else:
            self.checkpoint(progress)

    def end(self) -> None:
        """The trial has come to its end: there is nothing to resume, unless it is extended."""
        if not self._extensible:
            self._folder.remove(RESUME_DIR)

    def failed(self, traceback: str) -> None:
        """Keep what went wrong, for whoever reads the trial's outcome."""
        self._folder.write(traceback, ERROR_FILE)

    def _line(self, record: RoundRecord) -> str:
        return record.model_copy(update={"trial_id": self.trial_id}).to_json()

    def _write_rounds(self) -> None:
        # Written whole each time: a few lines, and a reader never meets a torn one.
        self._folder.write("".join(f"{line}\n" for line in self._lines), ROUNDS_FILE)
