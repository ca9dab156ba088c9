"""What can be wrong with a study's files, and how it is said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def told_problems(study: str, problems: dict[str, str]) -> Iterator[None]:
    """Warn of each problem that is found within."""
    known = set(problems)
    yield
    for file in sorted(set(problems) - known):
        warnings.warn(f"{study}: {file} {problems[file]}", ProblemWarning, stacklevel=4)
