"""Dense runs that several studies on the same storage share: one trains, the others wait."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.records import TRAJECTORY_FILE
from study.storage import Folder

SHARED_DIR = ".trajectories"
"""Beside the studies of a storage path."""

LOCK_FILE = "training.lock"

HEARTBEAT_S = 2.0

STALE_S = 20.0
"""A lock whose owner has not been heard of for so long is nobody's."""


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
        lock = path / LOCK_FILE
        while not _taken(lock):
            time.sleep(0.2)
        over = threading.Event()
        beat = threading.Thread(target=_keep_alive, args=(lock, over), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            lock.unlink(missing_ok=True)

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
            if file.parent.name != keep and not (file.parent / LOCK_FILE).exists():
                file.unlink(missing_ok=True)
                total -= size


def _taken(lock: Path) -> bool:
    """Take a lock, if it is free or its owner is gone."""
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > STALE_S:
                # Renamed first, so that of several who see it stale only one frees it.
                grave = lock.with_name(f"{LOCK_FILE}.{socket.gethostname()}.{os.getpid()}")
                lock.rename(grave)
                grave.unlink(missing_ok=True)
        return False
    with os.fdopen(handle, "w") as file:
        file.write(f"{socket.gethostname()} {os.getpid()}\n")
    return True


def _keep_alive(lock: Path, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT_S):
        with contextlib.suppress(FileNotFoundError):
            os.utime(lock)
