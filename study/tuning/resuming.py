"""What a study needs to go on: its own folder, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError

from study.configuration.loading import StudyConfig, explain
from study.errors import UsageError
from study.exporting.networks import study_config
from study.exporting.trusting import refuse_untrusted
from study.files.documents import read_lines
from study.files.problems import Problems
from study.owners import refuse_running
from study.pruning.latency.table import Tell
from study.records import EVENTS_FILE, JOURNAL_FILE, STUDY_FILE, TASK_FILE, Event, JournalLine
from study.storage import Folder
from study.tuning.afterwards.points import task_record
from study.tuning.preparing import Prepared, prepare
from study.tuning.search.past import PastTrial, read_past
from study.tuning.search.spending import Spending, spending_of

Errored = Literal["keep", "retry", "restart"]
"""What becomes of trials that failed: nothing, another try from where they stood, or from their
start."""


def prepare_resume(
    folder: Folder,
    *,
    num_samples: int | None = None,
    train_samples_budget: int | None = None,
    time_budget_s: float | None = None,
    max_concurrent: int | None = None,
    errored: Errored = "keep",
    trust_code: bool = False,
    asked_by: str = "--trust-code",
    tell: Tell | None = None,
) -> tuple[Prepared, list[PastTrial]]:
    """Read what a study has run, and prepare what is left of it.

    Parameters
    ----------
    folder
        Of the study, wherever it was moved or copied to.
    num_samples
        Trials in all; None: as many as it was to have.
    train_samples_budget
        Training examples of the search in all, those that it has spent included; None: as many as
        it was to have.
    time_budget_s
        Seconds from now on; None: as its study file says, from now on as well.
    max_concurrent
        Trials at a time; None: as its study file says.
    errored
        What becomes of trials that failed.
    trust_code, asked_by
        As of :func:`study.exporting.trusting.refuse_untrusted`.
    tell
        As of :func:`study.tuning.preparing.prepare`; also of trials that failed and are left so.

    Raises
    ------
    UsageError
        If there is no study, somebody runs it, or its task is not what it was.

    Warns
    -----
    ProblemWarning
        For each file with a line that a crash tore; it is skipped.
    """
    if not folder.exists(STUDY_FILE):
        raise UsageError(f"{folder.location}: this folder holds no study; it has no {STUDY_FILE}")
    refuse_untrusted(folder, None, trust_code, asked_by)
    refuse_running(folder)
    _warn_of_torn_lines(folder)
    before = study_config(folder)
    asked = {
        "num_samples": num_samples,
        "train_samples_budget": train_samples_budget,
        "time_budget_s": time_budget_s,
    }
    config = _changed(before, folder, asked, max_concurrent)
    past = [_opened(each, errored) for each in read_past(folder)]
    if tell is not None and (left := sum(map(_has_failed, past))):
        tell(f"{left} of {len(past)} trials errored and are left; --retry-errored runs them again")
    if num_samples is not None and num_samples < len(past):
        raise UsageError(
            f"--num-samples: {num_samples}, and the study has {len(past)} trials already."
        )
    # Its own budget may be given again, as a job that is sent twice does: trials that were under
    # way when it was reached went past it.
    if config.study.train_samples_budget != before.study.train_samples_budget:
        _refuse_a_budget_that_is_spent(spending_of(folder, past, config.study.train_samples_budget))
    prepared = prepare(config, is_new=False, is_resumed=True, tell=tell)
    if past or folder.exists(TASK_FILE):  # else its driver was gone before it wrote of its task
        _refuse_other_task(prepared, task_record(folder).key)
    return prepared, past


def _refuse_a_budget_that_is_spent(spending: Spending) -> None:
    if spending.budget is not None and spending.budget < spending.spent:
        raise UsageError(
            f"--train-samples-budget: {spending.budget:,}, and the search has trained on "
            f"{spending.spent:,.0f} examples already."
        )


def _refuse_other_task(prepared: Prepared, before: str) -> None:
    if prepared.key != before:
        raise UsageError(
            f"task: it is not what it was when the study began (key {prepared.key}, then {before}):"
            " its data, model, recipe or code changed. Trials of both would be compared as one. "
            "Put it back as it was, or run a new study."
        )


def _warn_of_torn_lines(folder: Folder) -> None:
    """Name the lines of the files that grow, of which a crash may have torn one: they are skipped.

    The records of trials are written whole, and what is wrong with one is refused.
    """
    problems = Problems()
    read_lines(folder, Event, problems, EVENTS_FILE)
    read_lines(folder, JournalLine, problems, JOURNAL_FILE)
    problems.warn(folder.name)


def _changed(
    config: StudyConfig,
    folder: Folder,
    asked: Mapping[str, float | None],
    max_concurrent: int | None,
) -> StudyConfig:
    own: dict[str, Any] = {"storage_path": folder.parent, "name": folder.name}
    own |= {key: value for key, value in asked.items() if value is not None}
    tables = config.model_dump(mode="json", exclude_unset=True)
    tables["study"] = {**tables.get("study", {}), **own}
    if max_concurrent is not None:
        tables["resources"] = {**tables.get("resources", {}), "max_concurrent": max_concurrent}
    try:
        return StudyConfig.model_validate(tables)
    except ValidationError as error:
        raise UsageError(explain(error, StudyConfig)) from error


def _has_failed(trial: PastTrial) -> bool:
    return trial.outcome is not None and trial.outcome.status == "errored"


def _opened(trial: PastTrial, errored: Errored) -> PastTrial:
    """A trial that failed, as one that is to go on, where that is asked for."""
    if errored == "keep" or not _has_failed(trial):
        return trial
    if errored == "retry":
        return replace(trial, outcome=None)
    return replace(trial, outcome=None, results=(), is_restarted=True)
