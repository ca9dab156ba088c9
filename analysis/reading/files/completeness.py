"""Which folders are trials, and whether their files hold what their outcome says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.files.documents import noted
from study.files.problems import Problems
from study.records import PLAN_FILE, ROUNDS_FILE, TRIALS_DIR, PlanRecord, TrialOutcome
from study.storage import Folder
from study.visible import visible


def is_trial(
    folder: Folder,
    name: str,
    plan: PlanRecord | None,
    outcome: TrialOutcome | None,
    problems: Problems,
) -> bool:
    """Whether a folder is a trial: one without any of a trial's files is not."""
    place = f"{TRIALS_DIR}/{name}"
    damaged = any(file.startswith(f"{place}/") for file in problems)
    if plan or outcome or damaged or folder.exists(TRIALS_DIR, name, ROUNDS_FILE):
        return True
    problems[place] = "is no trial: it has no plan, rounds or outcome"
    return False


def compare_with_outcomes(
    ids: Sequence[str],
    plans: Sequence[PlanRecord | None],
    outcomes: Sequence[TrialOutcome | None],
    last_rounds: np.ndarray,
    problems: Problems,
) -> None:
    """Tell of ended trials whose plan or rounds are missing.

    Parameters
    ----------
    ids, plans, outcomes
        The trials and their documents.
    last_rounds
        The last round that was read of each, -1 where none was.
    problems
        What is missing is added here.
    """
    for trial_id, plan, outcome, last in zip(ids, plans, outcomes, last_rounds, strict=True):
        if outcome is None:
            continue  # it may still be written to
        if plan is None:
            name = f"{TRIALS_DIR}/{trial_id}/{PLAN_FILE}"
            problems.setdefault(name, "is missing or empty")
        least = 0 if outcome.status == "completed" else -1
        expected = max(outcome.rounds_finished, least) if outcome.rounds_finished else least
        if last < expected:
            read = "no round" if last < 0 else f"rounds up to {last}"
            name = f"{TRIALS_DIR}/{trial_id}/{ROUNDS_FILE}"
            problems.setdefault(name, f"has {read}, and the trial finished round {expected}")


def trial_names(folder: Folder, problems: Problems) -> list[str]:
    """Folders in which trials may be; whatever else lies beside them is told of."""
    with noted(problems, TRIALS_DIR):
        for name in folder.files(TRIALS_DIR):
            problems[visible(f"{TRIALS_DIR}/{name}")] = "is no folder of a trial"
        found = []
        for name in folder.folders(TRIALS_DIR):
            if _is_text(name):
                found.append(name)
            else:
                problems[visible(f"{TRIALS_DIR}/{name}")] = "has a name that is no UTF-8"
        return found
    return []


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
