"""Problems of a study's files that come to light when a frame is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from study.files.problems import Problems, ProblemWarning

__all__ = ["ProblemWarning", "told_problems"]


@contextmanager
def told_problems(study: str, problems: Problems) -> Iterator[None]:
    """Warn of each problem that is found within."""
    known = dict(problems)
    yield
    problems.warn(study, known, stacklevel=5)
