"""Which files go with a study: its study file, and what its user keeps beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from study.errors import UsageError
from study.records import PROVENANCE_FILE, STUDY_FILE

MOST_MB = 100
"""Of a working folder that is sent to a cluster: Ray takes 500 MiB at most, and holds it in the
memory of its head node."""

LEFT_OUT = frozenset(
    {"studies", "venv", "env", "node_modules", "__pycache__", "build", "dist", "site-packages"}
)
"""Names of folders that are no part of a study's own code, whatever is in them."""

IS_LEFT_OUT = "hidden ones, studies/, virtual environments, build/, dist/"
"""The same for a user."""


def files_beside(study_file: Path) -> list[Path]:
    """The study file, and all regular files in and below its folder that belong to it.

    Hidden files and folders, folders of studies, environments and links out of the folder are
    left out.

    Returns
    -------
    list[Path]
        Relative to the folder, sorted.
    """
    root = study_file.parent
    found = files_in(root)
    return found if study_file.relative_to(root) in found else [Path(study_file.name), *found]


def files_in(root: Path) -> list[Path]:
    """Regular files in and below a folder that are no study's, environment's or hidden ones."""
    return sorted(path.relative_to(root) for path in _walk(root, root.resolve()))


def modules_beside(study_file: Path) -> list[Path]:
    """The study file and the user's own modules, without their data."""
    own = files_beside(study_file)
    return [path for path in own if path.suffix == ".py" or path == Path(study_file.name)]


def refuse_large(root: Path, files: list[Path], most_bytes: int, remedy: str) -> None:
    """Make sure that files can be sent.

    Raises
    ------
    UsageError
        If they have more bytes together; the largest of them are named.
    """
    sizes = sorted(((root / path).stat().st_size, str(path)) for path in files)
    total = sum(size for size, _ in sizes)
    if total > most_bytes:
        largest = ", ".join(f"{name} ({_said(size)})" for size, name in sizes[:-4:-1])
        raise UsageError(
            f"{root}: {_said(total)} would go with the study, and {_said(most_bytes)} is the most. "
            f"The largest: {largest}. {remedy}"
        )


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith(".") or not path.resolve().is_relative_to(root):
            continue
        if entry.is_file():
            yield path
        elif entry.is_dir(follow_symlinks=False) and not is_left_out(path):
            yield from _walk(path, root)


def is_left_out(folder: Path) -> bool:
    """Whether a folder is no part of a user's own code."""
    is_study = (folder / STUDY_FILE).is_file() and (folder / PROVENANCE_FILE).is_file()
    named = folder.name in LEFT_OUT or folder.name.startswith(".")
    return named or (folder / "pyvenv.cfg").is_file() or is_study


def _said(size: int) -> str:
    if size >= 1e6:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / 1e3:,.0f} kB" if size >= 1e3 else f"{size} bytes"
