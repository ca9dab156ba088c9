"""What is wrong with the files of a study, in words, and told once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from study.errors import shortened
from study.files.regular_files import RefusedFileError
from study.visible import visible

MOST_LINES_TOLD = 5

_LONGEST = 60
"""Letters of a value that are shown."""


class ProblemWarning(UserWarning):
    """A file of a study could not be read; the rest was."""


@dataclass(frozen=True)
class Problem:
    """What is wrong in a file.

    Parameters
    ----------
    reason
        The end of a sentence that begins with the field, or with the file.
    field
        Which field, where one is meant: ``layers.0.density``.
    line
        Which line or row, from 1, where the file has such.
    """

    reason: str
    field: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class Problems(dict[str, str]):
    """What is wrong with the files of a study, by file."""

    def add(self, file: str, found: Iterable[Problem], unit: str = "line") -> None:
        """Tell of a file: of each line that cannot be read, or of the whole.

        What is known of the file already comes first, and is not told twice.
        """
        problems = list(found)
        whole = [f"is damaged: {problem}" for problem in problems if problem.line is None]
        lines = [problem for problem in problems if problem.line is not None]
        if lines:
            told = ", ".join(f"{each.line} ({each})" for each in lines[:MOST_LINES_TOLD])
            more = len(lines) - MOST_LINES_TOLD
            rest = f" and {more} more" if more > 0 else ""
            whole.append(f"cannot be read in {unit} {told}{rest}")
        said = self.get(file, "")
        new = [text for text in whole if text not in said]
        if new:
            self[file] = visible("; ".join([said] * bool(said) + new))

    def join(self, others: Problems) -> None:
        """Take over what others found, and is not known."""
        for file, text in others.items():
            said = self.get(file, "")
            if text not in said:
                self[file] = text if said in text else f"{said}; {text}"

    def damaged(self, file: str, error: BaseException) -> None:
        """Tell of a file that cannot be read at all."""
        self.add(file, [problem_of(error)])

    def warn(self, study: str, known: Iterable[str] = (), stacklevel: int = 3) -> None:
        """Warn of each file but those that are known."""
        for file in sorted(set(self) - set(known)):
            text = visible(f"{study}: {file} {self[file]}")
            warnings.warn(text, ProblemWarning, stacklevel=stacklevel)


def problem_of(error: BaseException) -> Problem:
    """What an exception says of the file that was read when it was raised."""
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, RefusedFileError):
        return Problem(error.reason)
    if isinstance(error, RecursionError):
        return Problem("it is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Problem(f"it is no UTF-8 at byte {error.start}")
    if isinstance(error, OSError) and error.strerror:
        return Problem(error.strerror)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return Problem(lines[0][: 4 * _LONGEST])


def _invalid(error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    field = ".".join(
        # Branches of a union have their types in the path.
        str(part)
        for part in first["loc"]
        if not _is_a_type(part)
    )
    if first["type"] == "json_invalid":
        return Problem(first["msg"])
    said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
    if first["type"] == "missing":
        return Problem("is missing", field)
    given = shortened(first["input"], _LONGEST)
    return Problem(f"{said}, but {given}" if field else said, field)


def _is_a_type(part: int | str) -> bool:
    return isinstance(part, str) and (part in ("float", "int", "str") or "[" in part)
