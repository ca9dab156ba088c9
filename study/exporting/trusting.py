"""Is code of a study's own run when one of its networks is built again?

A study folder may come from somebody else. Its study.toml and its plans may name functions by
import string, and to build a network they are imported: that runs what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from study.errors import UsageError
from study.exporting.networks import study_config
from study.files.named_code import code_of_plan, code_of_study
from study.records import PLAN_FILE, STUDY_FILE, TRIALS_DIR
from study.storage import Folder


def refuse_untrusted(
    study: Folder, trial_id: str | None, trust_code: bool, asked_by: str = "--trust-code"
) -> None:
    """Make sure that a folder names no code to import, unless the user trusts it.

    Parameters
    ----------
    study
        Folder of a study.
    trial_id
        The trial that is built again; None: any of them may be.
    trust_code
        What the user says.
    asked_by
        How the user says it.

    Raises
    ------
    UsageError
        If it names a module, which the message tells, and ``trust_code`` is False.
    """
    if trust_code or not study.exists(STUDY_FILE):
        return
    found = next(_named(study, trial_id), None)
    if found is not None:
        raise UsageError(
            f"{study.location}: {found[0]} names code, {found[1]!r}, which would be imported and "
            f"run. If you trust whoever made this folder, say {asked_by}."
        )


def names_code(study: Folder) -> bool:
    """Whether a folder names code of its own; one that is gone does not."""
    return study.exists(STUDY_FILE) and next(_named(study, None), None) is not None


def _named(study: Folder, trial_id: str | None) -> Iterator[tuple[str, str]]:
    """Import strings, and where they stand."""
    yield from code_of_study(study_config(study).model_dump())
    for each in study.folders(TRIALS_DIR) if trial_id is None else [trial_id]:
        if study.exists(TRIALS_DIR, each, PLAN_FILE):
            try:
                plan = json.loads(study.read(TRIALS_DIR, each, PLAN_FILE))
            except (ValueError, RecursionError):
                continue  # it cannot be built either, which says so itself
            if isinstance(plan, Mapping):
                yield from code_of_plan(f"the plan of trial {each}: ", plan)
