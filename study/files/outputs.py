"""Files that a user names, outside of any study."""

from __future__ import annotations

from pathlib import Path

from study.errors import UsageError
from study.storage import Folder


def refuse_output(output: str) -> None:
    """Make sure that a file that a user names can be written, before the work for it begins.

    Raises
    ------
    UsageError
        If its folder is not there, or it is a folder itself.
    """
    parent = Path(output).parent
    if not parent.is_dir():
        raise UsageError(f"--output: there is no folder {str(parent)!r}")
    if Path(output).is_dir():
        raise UsageError(f"--output: {output!r} is a folder; name a file")


def write_output(output: str, data: bytes) -> None:
    """Write a file that a user names: the old content or the new is there, never a part.

    Raises
    ------
    UsageError
        As :func:`refuse_output`, and if the place cannot be written to.
    """
    refuse_output(output)
    try:
        Folder(str(Path(output).parent)).write(data, Path(output).name)
    except OSError as error:
        raise UsageError(f"output: {output!r} cannot be written: {error}") from error
