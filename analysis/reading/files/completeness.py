"""Which folders are trials, and whether their files hold what their outcome says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.reading.files.documents import Document
from study.records import PLAN_FILE, ROUNDS_FILE, TRIALS_DIR
from study.storage import Folder


def is_trial(
    folder: Folder,
    name: str,
    plan: Document | None,
    outcome: Document | None,
    problems: dict[str, str],
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
    plans: Sequence[Document | None],
    outcomes: Sequence[Document | None],
    last_rounds: np.ndarray,
    problems: dict[str, str],
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
        finished = outcome.get("rounds_finished")
        least = 0 if outcome.get("status") == "completed" else -1
        expected = max(finished, least) if isinstance(finished, int) and finished else least
        if last < expected:
            read = "no round" if last < 0 else f"rounds up to {last}"
            name = f"{TRIALS_DIR}/{trial_id}/{ROUNDS_FILE}"
            problems.setdefault(name, f"has {read}, and the trial finished round {expected}")
