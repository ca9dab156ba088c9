"""Which files of a folder may be opened: regular ones inside it, up to a size."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import BinaryIO

from study.errors import UsageError
from study.files.parts import whole_name

MOST_BYTES = {
    ".json": 1 << 24,
    ".toml": 1 << 24,
    ".jsonl": 1 << 30,
    ".parquet": 1 << 30,
    ".safetensors": 1 << 36,
}
"""Size up to which a file is opened, by the ending of its name."""

MOST_OTHER_BYTES = 1 << 33
"""Of files with another ending."""

Kinds = tuple[tuple[Callable[[int], bool], str], ...]

_NEVER_OPENED: Kinds = (
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISCHR, "is a device"),
)

_KINDS: Kinds = ((stat.S_ISDIR, "is a folder"), *_NEVER_OPENED)


class RefusedFileError(UsageError, OSError):
    """A file is not opened, whatever is in it: it leads out of its folder, or is no plain file.

    Parameters
    ----------
    path
        Of the file.
    reason
        Why, as the end of a sentence that begins with the file.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def safe_path(root: str, parts: Sequence[str]) -> str:
    """The path of what lies below a folder on this machine.

    The folder may itself be a link. Links below it are followed as long as they stay inside; what
    is not there yet is no error.

    Raises
    ------
    RefusedFileError
        If a part is no plain name, a pipe, socket or device, or a link that leads out of the
        folder, to nothing, or in a circle.
    OSError
        If the system does not let it be looked up.
    """
    path, is_linked, is_there = root, False, True
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or "/" in part:
            raise RefusedFileError(f"{path}/{part}", "is no name of a file in this folder")
        path = f"{path}/{part}"
        if is_there:
            try:
                mode = os.lstat(path).st_mode
            except (FileNotFoundError, NotADirectoryError):
                is_there = False
            else:
                is_linked |= stat.S_ISLNK(mode)
                _refuse_kind(path, mode, _NEVER_OPENED)
    if is_linked:
        _refuse_outside(root, path)
    return path


def _refuse_outside(root: str, path: str) -> None:
    if not PurePath(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise RefusedFileError(
            path, "is a link that leads out of the folder; it is neither read nor written"
        )
    try:
        os.path.realpath(path, strict=True)
    except FileNotFoundError:
        if os.path.islink(path):  # noqa: PTH114
            raise RefusedFileError(path, "is a link to nothing") from None
    except OSError:
        raise RefusedFileError(path, "is a link that leads in a circle") from None


def open_regular(path: str, mode: str = "rb") -> BinaryIO:
    """Open a file, unless it is no regular one or too large. It never waits for another process.

    Parameters
    ----------
    path
        As :func:`safe_path` gave it.
    mode
        ``"rb"``, or ``"a+b"``, which makes the file where there is none.

    Raises
    ------
    RefusedFileError
        If it is a folder, pipe, socket or device, or larger than :data:`MOST_BYTES` allows.
    OSError
        If it cannot be opened.
    """
    flags = os.O_RDONLY if mode == "rb" else os.O_RDWR | os.O_APPEND | os.O_CREAT
    # A pipe that took the file's place a moment ago would wait for a writer.
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags, 0o666)
    except IsADirectoryError:
        raise RefusedFileError(path, "is a folder, not a file") from None
    try:
        info = os.fstat(handle)
        _refuse_kind(path, info.st_mode, _KINDS)
        refuse_size(path, info.st_size)
    except RefusedFileError:
        os.close(handle)
        raise
    return io.FileIO(handle, "rb") if mode == "rb" else os.fdopen(handle, mode)  # type: ignore[return-value]


def _refuse_kind(path: str, mode: int, kinds: Kinds) -> None:
    if not stat.S_ISREG(mode):
        for is_of, what in kinds:
            if is_of(mode):
                raise RefusedFileError(path, f"{what}, not a file")


def refuse_size(path: str, size: int) -> None:
    """Refuse a file that is larger than :data:`MOST_BYTES` allows."""
    ending = os.path.splitext(whole_name(path))[1]  # noqa: PTH122
    most = MOST_BYTES.get(ending, MOST_OTHER_BYTES)
    if size > most:
        raise RefusedFileError(path, f"has {size:,} bytes; it is read up to {most:,}")
