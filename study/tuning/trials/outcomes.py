"""How each trial ended, and what happened to the study: written by the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback

from study.errors import what_was_raised
from study.records import (
    ERROR_FILE,
    EVENTS_FILE,
    OUTCOME_FILE,
    TRIALS_DIR,
    Event,
    TrialOutcome,
    is_finite,
    metrics_in,
    utc_now,
)
from study.storage import Folder
from study.tuning.early_stopping.scheduler import RoundScheduler
from study.tuning.results import INTERRUPTED

Listener = Callable[[str, str, dict[str, Any]], None]
"""Told of every event: its name, the trial and its last result; no trial, but the detail, of those
of the study."""


class OutcomeRecorder(Callback):
    """Writes ``outcome.json`` of every trial and the study's ``events.jsonl``.

    Parameters
    ----------
    folder
        The study's folder.
    listeners
        Who else wants to know, such as a progress display.
    has_time_budget
        Whether it is a time budget that cuts off trials.
    rounds_noted
        Of trials that are taken up: the last round that is in the events already.
    """

    def __init__(
        self,
        folder: Folder,
        listeners: Sequence[Listener],
        has_time_budget: bool,
        rounds_noted: Mapping[str, int] | None = None,
    ) -> None:
        self._folder = folder
        self._listeners = list(listeners)
        self._started: dict[str, str] = {}
        self._running: dict[str, Any] = {}
        self._cut_off_by = "time_budget" if has_time_budget else "interrupted"
        self._rounds_noted = dict(rounds_noted or {})
        self.failed = 0
        self.early_stopping: RoundScheduler | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Ray keeps a copy of the tuner on disk. A display cannot be in it, and is not missed.
        return {**self.__dict__, "_listeners": [], "_running": {}}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial got its worker."""
        self._started.setdefault(trial.config["id"], utc_now())
        self._running[trial.config["id"]] = trial
        self._note("trial_started", trial, {}, {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A round is over."""
        if INTERRUPTED not in result:
            self._note_round(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial came to its end, or was stopped."""
        result = trial.last_result or {}
        if INTERRUPTED in result:
            self._end(trial, "stopped", self._cut_off_by)
            return
        finished, planned = result.get("round", -1), trial.config["plan"]["rounds"]
        verdict = self._verdict(trial)
        if self.early_stopping is not None and verdict is not None and not verdict.get("audited"):
            self._end(trial, "stopped", self.early_stopping.name, detail=verdict)
        elif finished >= planned:
            self._end(trial, "completed", None, detail=verdict)
        elif result.get("done") and finished >= 0 and not is_finite(result):
            self._end(trial, "stopped", "diverged", detail=verdict)
        else:
            self._end(trial, "stopped", self._cut_off_by, detail=verdict)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial failed, and will not be tried again."""
        self.failed += 1
        self._end(trial, "errored", "error", self._traceback(trial))

    def interrupted(self) -> None:
        """From now on it is an interrupt, and no time budget, that cuts off trials."""
        self._cut_off_by = "interrupted"

    def close_unfinished(self) -> None:
        """Record trials that the study's end cut off before Ray told of theirs."""
        for trial in list(self._running.values()):
            self._end(trial, "stopped", self._cut_off_by)

    def note(self, event: str, detail: dict[str, Any]) -> None:
        """Write an event of the study itself, and tell the listeners."""
        self._folder.append_line(Event(event=event, detail=detail).to_json(), EVENTS_FILE)
        for listener in self._listeners:
            listener(event, "", detail)

    def _verdict(self, trial: Any) -> dict[str, Any] | None:
        """What early stopping found of a trial, if it was to be stopped."""
        if self.early_stopping is None:
            return None
        return self.early_stopping.verdicts.get(trial.config["id"])

    def _end(
        self,
        trial: Any,
        status: Any,
        reason: str | None,
        traceback: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        trial_id = trial.config["id"]
        self._running.pop(trial_id, None)
        last = self._rounds_noted.get(trial_id)
        outcome = TrialOutcome(
            trial_id=trial_id,
            status=status,
            stop_reason=reason,
            stop_detail=detail,
            error=what_was_raised(traceback) if traceback else None,
            traceback=traceback,
            stage=trial.config.get("stage", ""),
            rounds_planned=trial.config["plan"]["rounds"],
            rounds_finished=0 if last is None else last,
            started_at=self._started.get(trial_id, utc_now()),
            finished_at=utc_now(),
        )
        self._folder.write(outcome.model_dump_json(indent=2), TRIALS_DIR, trial_id, OUTCOME_FILE)
        told = {"reason": reason} if reason else {}
        self._note(f"trial_{status}", trial, told, trial.last_result or {})

    def _traceback(self, trial: Any) -> str:
        """What the worker wrote before it gave up; if it died without a word, what Ray knows."""
        place = (TRIALS_DIR, trial.config["id"], ERROR_FILE)
        if self._folder.exists(*place):
            return self._folder.read(*place).decode()
        return Path(trial.error_file).read_text() if trial.error_file else "the worker died"

    def _note_round(self, trial: Any, result: dict[str, Any]) -> None:
        """Note a round, unless it is told again after a crash; a display wants to see it."""
        trial_id, round_ = trial.config["id"], result["round"]
        if round_ > self._rounds_noted.get(trial_id, -1):
            self._rounds_noted[trial_id] = round_
            self._note("round_finished", trial, _facts(result), result)
        else:
            for listener in self._listeners:
                listener("round_finished", trial_id, result)

    def _note(self, event: str, trial: Any, detail: dict[str, Any], result: dict[str, Any]) -> None:
        trial_id = trial.config["id"]
        line = Event(event=event, trial_id=trial_id, detail=detail).to_json()
        # The round itself is in its trial's file, which waits for the disk.
        self._folder.append_line(line, EVENTS_FILE, durable=event != "round_finished")
        for listener in self._listeners:
            listener(event, trial_id, result)


def _facts(result: dict[str, Any]) -> dict[str, Any]:
    return {"round": result["round"], "density": result["density"], **metrics_in(result)}
