"""Dense runs that several studies on the same storage share: one trains, the others wait."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.records import TRAJECTORY_FILE
from study.storage import Folder
from study.tuning.dense_runs.lock_files import held, is_held

SHARED_DIR = ".trajectories"
"""Beside the studies of a storage path."""

LOCK_FILE = "training.lock"


class SharedRuns:
    """Keeps dense runs beside the studies, under the hash of what decides them.

    Parameters
    ----------
    folder
        Where they are kept.
    budget_bytes
        What they may take in all; beyond it those that were used least recently go. The one that
        was just used stays.
    """

    def __init__(self, folder: Folder, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes

    @property
    def arguments(self) -> tuple[str, int]:
        """What another process finds the same runs with, see :meth:`of`."""
        return self._folder.location, self._budget_bytes

    @classmethod
    def of(cls, location: str, budget_bytes: int) -> SharedRuns:
        """The runs in a folder by its path or URI."""
        return cls(Folder(location), budget_bytes)

    def read(self, name: str) -> bytes | None:
        """A dense run, or None where nobody has trained it yet."""
        if not self._folder.exists(name, TRAJECTORY_FILE):
            return None
        try:
            data = self._folder.read(name, TRAJECTORY_FILE)
        except FileNotFoundError:
            return None  # evicted between the two
        path = self._path(name)
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(path / TRAJECTORY_FILE)  # its last use
        return data

    def write(self, name: str, data: bytes) -> None:
        """Keep a dense run, and make room for it."""
        self._folder.write(data, name, TRAJECTORY_FILE)
        self._evict(keep=name)

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        """Be the only one who trains this run, among all processes that share the folder.

        Behind a URI there are no locks: there two may train the same run, to the same result.
        """
        path = self._path(name)
        if path is None:
            yield
            return
        path.mkdir(parents=True, exist_ok=True)
        with held(path / LOCK_FILE):
            yield

    def _path(self, name: str) -> Path | None:
        root = self._folder.local_path
        return None if root is None else root / name

    def _evict(self, keep: str) -> None:
        root = self._folder.local_path
        if root is None:
            return
        found = []
        for file in root.glob(f"*/{TRAJECTORY_FILE}"):
            with contextlib.suppress(FileNotFoundError):
                facts = file.stat()
                found.append((facts.st_mtime, facts.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= self._budget_bytes:
                return
            if file.parent.name != keep and not is_held(file.parent / LOCK_FILE):
                file.unlink(missing_ok=True)
                total -= size
