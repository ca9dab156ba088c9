"""Can files be made in a folder? Found out before there is anything to write."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

import pyarrow.fs as pafs

from study.errors import UsageError
from study.files.locations import hide_secrets
from study.storage import Folder

LONGEST_NAME = 255
"""Bytes of one part of a path, on the file systems of Linux."""

LONGEST_PATH, LONGEST_KEY = 4095, 1024
"""Bytes of a path, and of a key in an object store."""

BELOW = 220
"""Bytes that the longest name below a study's folder takes."""

ROOM = 1 << 20
"""Bytes that must fit on the disk: a study writes more than that at its start."""


def refuse_unwritable(folder: Folder, field: str) -> None:
    """Make sure that a folder is there or can be made, and that files can be made in it.

    What is written to find out is taken away again; in an object store a small object comes and
    goes, and an empty folder may be left.

    Parameters
    ----------
    folder
        Of studies, or of one.
    field
        What the user named it by.

    Raises
    ------
    UsageError
        If a file or a link that leads nowhere is in its way, a name is too long, there is no such
        bucket, the disk is full, or this user may not write there.
    """
    path = folder.local_path
    try:
        if path is None:
            _try_objects(folder, field)
        else:
            _try_files(path, field)
    except OSError as error:
        reason = hide_secrets(str(error.strerror or error))
        raise UsageError(f"{field}: {folder.location!r} cannot be written to: {reason}") from error


def _try_files(path: Path, field: str) -> None:
    for part in path.parts:
        if (size := len(os.fsencode(part))) > LONGEST_NAME:
            raise UsageError(
                f"{field}: the name {part!r} has {size} bytes; at most {LONGEST_NAME} are allowed "
                "(a letter that is not ASCII has 2 to 4)."
            )
    if len(os.fsencode(path)) > LONGEST_PATH - BELOW:
        raise UsageError(
            f"{field}: the path {str(path)!r} has more than {LONGEST_PATH - BELOW} bytes."
        )
    nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise UsageError(
            f"{field}: {str(path)!r} is, or lies below, a file or a link that leads nowhere; it "
            "must be a folder."
        )
    with TemporaryFile(dir=nearest) as file:
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())


def _try_objects(folder: Folder, field: str) -> None:
    filesystem, base = folder.pyarrow
    bucket = base.partition("/")[0]
    if len(base.partition("/")[2].encode()) > LONGEST_KEY - BELOW:
        raise UsageError(f"{field}: {folder.location!r} has more than {LONGEST_KEY - BELOW} bytes.")
    if bucket and filesystem.get_file_info(bucket).type == pafs.FileType.NotFound:
        raise UsageError(f"{field}: {folder.location!r}: there is no bucket {bucket!r}.")
    # Others do not see it: who begins the study at this moment must not find a folder in use. What
    # pyarrow then leaves is an empty folder; to remove it would remove what they have put there.
    probe = f"{base}/.prune-study-{uuid4().hex}.tmp"
    with filesystem.open_output_stream(probe) as stream:
        stream.write(b"probe")
    filesystem.delete_file(probe)
