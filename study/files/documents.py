"""Documents and lines of a study folder, each through its record: the only reader of them.

Whatever is wrong with a file becomes one problem that names the file, the line and the field; the
rest is read.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from study.errors import UsageError
from study.files.problems import Problem, Problems, problem_of
from study.records import SCHEMA_VERSION, Record
from study.storage import Folder
from study.visible import visible

M = TypeVar("M", bound=BaseModel)

SETTLED_S = 2.0
"""A file changed less long ago may still be in the middle of being written."""

MOST_HEADER_BYTES = 1 << 27
"""Of a safetensors file; its own library takes as many."""


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
