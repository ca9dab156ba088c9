"""A quiet phase of a machine: while one process measures, those that train wait.

Locks of two files: who trains holds the first one together with others, and lets go of it at each
end of an epoch; who measures holds it alone. The second one is a gate before it, so that trials
that take turns in holding the first do not keep a measurement out for ever. The operating system
lets go of the locks of a process that dies.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 60.0
"""After this time a measurement goes ahead beside those that still train: an epoch of theirs may
take hours. Samples that they disturb are dropped as far as that leads to anything."""

_POLL_S = 0.02

GiveWay = Callable[[], None]
"""Lets measurements go first that wait."""


def lock_folder() -> Path:
    """Where this user's locks on this machine are: nothing that machines share."""
    user = os.getuid() if sys.platform != "win32" else os.getlogin()
    return Path(tempfile.gettempdir()) / f"prune-study-{user}"


if sys.platform == "win32":  # which has no such locks: trials and measurements run side by side

    @contextmanager
    def at_work() -> Iterator[GiveWay]:
        """Train, and give way to measurements on this machine."""
        yield lambda: None

    @contextmanager
    def alone(patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Measure while nobody trains on this machine."""
        del patience_s
        yield
else:
    import fcntl

    @contextmanager
    def at_work() -> Iterator[GiveWay]:
        """Train, and give way to measurements on this machine.

        Yields
        ------
        callable
            To be called now and then, such as after each epoch: measurements that wait go first.
        """
        with _open("gate") as gate, _open("work") as work:

            def begin() -> None:
                fcntl.flock(gate, fcntl.LOCK_SH)
                fcntl.flock(gate, fcntl.LOCK_UN)
                fcntl.flock(work, fcntl.LOCK_SH)

            def give_way() -> None:
                fcntl.flock(work, fcntl.LOCK_UN)
                begin()

            begin()
            yield give_way

    @contextmanager
    def alone(patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Measure while nobody trains on this machine, of all who use :func:`at_work`.

        Parameters
        ----------
        patience_s
            Seconds to wait for those who train.
        """
        with _open("gate") as gate, _open("work") as work:
            fcntl.flock(gate, fcntl.LOCK_EX)
            until = time.monotonic() + patience_s
            while not _is_taken(work) and time.monotonic() < until:
                time.sleep(_POLL_S)
            yield

    def _is_taken(work: int) -> bool:
        try:
            fcntl.flock(work, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def _open(name: str) -> Iterator[int]:
        folder = lock_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)  # which lets go of its lock
