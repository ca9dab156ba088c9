"""Documents and lines of a study folder, each through its record: the only reader of them.

Whatever is wrong with a file becomes one problem that names the file, the line and the field; the
rest is read.
"""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from study.errors import UsageError, shortened
from study.files.regular_files import RefusedFileError
from study.records import SCHEMA_VERSION, Record
from study.storage import Folder
from study.visible import visible

M = TypeVar("M", bound=BaseModel)

MOST_LINES_TOLD = 5

SETTLED_S = 2.0
"""A file changed less long ago may still be in the middle of being written."""

MOST_HEADER_BYTES = 1 << 27
"""Of a safetensors file; its own library takes as many."""

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
        """Take over what others found."""
        for file, text in others.items():
            said = self.get(file)
            self[file] = text if said is None or said in text else f"{said}; {text}"

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


def parse(model: type[M], data: bytes, *, strict: bool = True) -> M:
    """Read one JSON document or line.

    Fields that the record does not know are passed over, since a newer program may write them;
    records of an older schema version may lack some.

    Raises
    ------
    UsageError
        If the record is of a newer schema version than this program reads.
    Exception
        Of any kind, if it cannot be read: :func:`problem_of` puts it into words.
    """
    try:
        record = model.model_validate_json(data, strict=strict)
    except ValidationError:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise
        version = document.get("schema_version", SCHEMA_VERSION)
        refuse_newer(version)
        record = _forgiving(model, document, strict, is_older=_is_older(version))
    refuse_newer(getattr(record, "schema_version", None))
    return record


def refuse_newer(version: Any) -> None:
    """Refuse records that a newer program wrote.

    Raises
    ------
    UsageError
        If the version is past the newest that is known here.
    """
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerVersionError(
            f"the study has records of schema version {version}, and this program reads up to "
            f"{SCHEMA_VERSION}. Update prune-study."
        )


class NewerVersionError(UsageError):
    """Records that a newer program wrote."""


def _is_older(version: Any) -> bool:
    return isinstance(version, int) and 0 <= version < SCHEMA_VERSION


def _forgiving(model: type[M], document: dict[str, Any], strict: bool, *, is_older: bool) -> M:
    """The record without what it does not know; an older one without what it lacks."""
    if issubclass(model, Record):
        document = {name: value for name, value in document.items() if model.knows(name)}
    while True:
        try:
            return model.model_validate_json(json.dumps(document), strict=strict)
        except ValidationError as error:
            found = error.errors()
            unknown = [each["loc"] for each in found if each["type"] == "extra_forbidden"]
            if is_older and all(each["type"] == "missing" for each in found):
                return model.model_construct(**document)
            if not unknown:
                raise
            for *path, name in unknown:
                inner: Any = document
                for part in path:
                    inner = inner[part]
                inner.pop(name, None)


def read_document(
    folder: Folder, model: type[M], problems: Problems, *parts: str, strict: bool = True
) -> M | None:
    """A file that is one record; None where it is missing, or damaged and told of."""
    with noted(problems, *parts):
        if folder.exists(*parts):
            return parse(model, folder.read(*parts), strict=strict)
    return None


def read_lines(folder: Folder, model: type[M], problems: Problems, *parts: str) -> list[M]:
    """The records of a file, one a line; lines that cannot be read are told of.

    A last line without its end is still being written, unless the file has not changed lately.
    """
    records: list[M] = []
    bad: list[Problem] = []
    with noted(problems, *parts):
        if not folder.exists(*parts):
            return []
        data = folder.read(*parts)
        whole = whole_lines(data)
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            if not line.strip():
                continue
            try:
                records.append(parse(model, line))
            except NewerVersionError:
                raise
            except Exception as error:
                bad.append(_at(number, problem_of(error)))
        if len(whole) < len(data) and folder.age_s(*parts) > SETTLED_S:
            bad.append(Problem("it breaks off", line=whole.count(b"\n") + 1))
    problems.add("/".join(parts), bad)
    return records


def _at(line: int, problem: Problem) -> Problem:
    return Problem(problem.reason, problem.field, line)


def whole_lines(data: bytes) -> bytes:
    """The lines that are completely written, each with its line break."""
    if not data or data.endswith(b"\n"):
        return data
    end = data.rfind(b"\n") + 1
    try:
        json.loads(data[end:])
    except (ValueError, RecursionError):
        return data[:end]
    return data + b"\n"


@contextmanager
def noted(problems: Problems, *parts: str) -> Iterator[None]:
    """Whatever goes wrong within is a problem of a file; only newer versions are refused."""
    try:
        yield
    except NewerVersionError as error:
        raise NewerVersionError(f"{'/'.join(parts)}: {error}") from error
    except Exception as error:
        problems.damaged("/".join(parts), error)


def needed(folder: Folder, model: type[M], *parts: str, strict: bool = True) -> M:
    """A record without which nothing can be done.

    Raises
    ------
    UsageError
        If it is missing or damaged; it names the file, and the field.
    """
    problems = Problems()
    found = read_document(folder, model, problems, *parts, strict=strict)
    refuse(folder, problems)
    if found is None:
        raise UsageError(f"{folder.location}: {'/'.join(parts)} is missing.")
    return found


def read_tensors(folder: Folder, *parts: str) -> bytes:
    """A safetensors file, once its length is known to be the one that its header says."""
    with folder.open(*parts) as stream:
        start = stream.read(8)
        size = int.from_bytes(start, "little")
        if len(start) < 8 or size > MOST_HEADER_BYTES:
            raise UsageError("it is no file of tensors, or is cut off")
        header = stream.read(size)
        tensors = json.loads(header)
        ends = [0] + [t["data_offsets"][1] for n, t in tensors.items() if n != "__metadata__"]
        if not isinstance(max(ends), int):
            raise UsageError("the offsets in its header are no whole numbers")
        data: bytes = stream.read(max(ends) + 1)
    if len(data) != max(ends):
        raise UsageError(f"it should have {max(ends):,} bytes of tensors, and has other ones")
    return start + header + data


@contextmanager
def refused(folder: Folder, *parts: str) -> Iterator[None]:
    """Whatever goes wrong within is said of a file.

    Raises
    ------
    UsageError
        It names the file.
    """
    problems = Problems()
    with noted(problems, *parts):
        yield
    refuse(folder, problems)


def read_tables(folder: Folder, *parts: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    UsageError
        If it cannot be read; it names the file.
    """
    with refused(folder, *parts):
        return tomllib.loads(folder.read(*parts).decode())


def refuse(folder: Folder, problems: Problems) -> None:
    """Raise what was found, if anything.

    Raises
    ------
    UsageError
        It names the files.
    """
    for file, text in problems.items():
        raise UsageError(visible(f"{folder.location}/{file} {text}"))
