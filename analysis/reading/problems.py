"""What can be wrong with a study's files, and how it is said."""

from __future__ import annotations

from typing import Any

from study.errors import UsageError
from study.records import SCHEMA_VERSION


class ProblemWarning(UserWarning):
    """A file of a study could not be read; the rest was."""


def refuse_newer(version: Any) -> None:
    """Refuse records that a newer program wrote.

    Raises
    ------
    UsageError
        If the version is past the newest that is known here.
    """
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UsageError(
            f"the study has records of schema version {version}, and this program reads up to "
            f"{SCHEMA_VERSION}. Update prune-study."
        )
