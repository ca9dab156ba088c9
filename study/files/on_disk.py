"""Files of this machine's file systems, written so that a crash loses nothing that was finished."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from study.files.parts import whole_name
from study.files.regular_files import open_regular


def create(path: Path, content: str) -> bool:
    """Make a file, unless there is one: of several at a time who make it, one has made it.

    Returns
    -------
    bool
        Whether it was made now, and by this call.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _flush_folder(path.parent)
    return True


def write(path: Path, data: bytes) -> None:
    """Write a whole file beside its place, flush it to the disk, and put it there."""
    beside = Path(f"{path}.{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def append(path: Path, lines: bytes, *, durable: bool) -> None:
    """Add lines to a file, beginning anew where a crash tore the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_regular(str(path), "a+b") as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(lines)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def names(path: str, *, are_folders: bool) -> list[str]:
    """Names of the folders directly below a folder, or of the files, sorted.

    What is no folder counts as a file, so that nothing that lies there is passed over; parts count
    as the file that they are of.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(
                {
                    entry.name if are_folders else whole_name(entry.name)
                    for entry in entries
                    if _is_folder(entry) == are_folders and not entry.name.endswith(".tmp")
                }
            )
    except FileNotFoundError:
        return []


def _flush_folder(path: Path) -> None:
    """Make sure that a new name is on the disk, and not only what it names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
