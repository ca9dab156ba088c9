"""What a study has run before: trials as their records tell of them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from study.exporting.networks import read_plan
from study.files.documents import needed, read_lines, refuse
from study.files.problems import Problems
from study.pruning.plan import PruningPlan
from study.records import (
    OUTCOME_FILE,
    PLAN_FILE,
    REPLICATE,
    ROUNDS_FILE,
    TRIALS_DIR,
    RoundRecord,
    TrialOutcome,
)
from study.storage import Folder
from study.tuning.results import result_of

CUT_OFF = ("interrupted", "time_budget")
"""Stop reasons of trials that can go on."""


@dataclass(frozen=True)
class PastTrial:
    """A trial of an earlier run of the study.

    Parameters
    ----------
    name
        Of its folder.
    plan
        What it runs.
    results
        Of its finished rounds.
    outcome
        How it ended; None where it did not, or is to go on after a failure.
    is_restarted
        Whether it is to run from its start, and what it left is to go.
    """

    name: str
    plan: PruningPlan
    results: tuple[dict[str, Any], ...]
    outcome: TrialOutcome | None
    is_restarted: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is to go on: cut off, never ended, or given further rounds after its end."""
        return (
            self.outcome is None
            or self.outcome.stop_reason in CUT_OFF
            or self.outcome.rounds_planned < self.plan.rounds
        )

    @property
    def rounds_before(self) -> int:
        """Rounds after which an extension begins; 0 where it is none."""
        outcome = self.outcome
        is_extended = outcome is not None and outcome.status == "completed" and self.is_open
        return outcome.rounds_planned if is_extended and outcome is not None else 0

    @property
    def ended_at(self) -> str:
        """UTC; empty while it has not ended."""
        return "" if self.outcome is None else self.outcome.finished_at

    @property
    def has_completed(self) -> bool:
        """Whether all of its rounds were run, or it diverged, which is its own end."""
        return bool(self.results) and bool(self.results[-1]["done"])


def read_past(study: Folder) -> list[PastTrial]:
    """All trials of a study but its replicates, by name.

    Raises
    ------
    UsageError
        If a record is damaged, which names the file.
    """
    names = [name for name in study.folders(TRIALS_DIR) if REPLICATE not in name]
    return [_read(study, name) for name in names if _begun(study, name)]


def _begun(study: Folder, name: str) -> bool:
    return name.isdecimal() and study.exists(TRIALS_DIR, name, PLAN_FILE)


def _read(study: Folder, name: str) -> PastTrial:
    plan, trial, problems = read_plan(study, name), study.child(TRIALS_DIR, name), Problems()
    records = read_lines(trial, RoundRecord, problems, ROUNDS_FILE)
    refuse(trial, problems)
    outcome = needed(trial, TrialOutcome, OUTCOME_FILE) if trial.exists(OUTCOME_FILE) else None
    return PastTrial(name, plan, tuple(result_of(each, plan) for each in records), outcome)


class _Learner(Protocol):
    def learn_round(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any], *, again: bool = False
    ) -> bool: ...

    def learn_end(self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]) -> None: ...


def replay(early_stopping: _Learner, past: Sequence[PastTrial]) -> None:
    """Tell early stopping of all ended trials, in the order in which things happened.

    Those that go on tell of their rounds themselves, once they have a worker.
    """
    happened: list[tuple[str, str, int, Callable[[], object]]] = []
    for trial in past:
        if trial.is_open or trial.outcome is None or not trial.results:
            continue
        name, plan, last = trial.name, trial.plan, trial.results[-1]
        rounds = trial.results[:-1] if trial.has_completed else trial.results
        for place, result in enumerate(rounds):
            learn = partial(
                early_stopping.learn_round, name, plan, result, again=result is not last
            )
            happened.append((result["finished_at"], name, place, learn))
        if trial.has_completed:
            end = partial(early_stopping.learn_end, name, plan, last)
            happened.append((trial.outcome.finished_at, name, len(rounds), end))
    for _, _, _, learned in sorted(happened, key=lambda each: each[:3]):
        learned()
