"""A lock among processes and machines that share a folder, and that no dead process holds."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.processes import is_gone, this_machine

HEARTBEAT_S = 2.0

SILENCE_S = 20.0
"""A lock whose owner gives no sign of life for so long is nobody's."""

POLL_S = 0.1


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Wait until the lock is ours, and hold it.

    The lock is a file with its owner's name, which the owner touches every few seconds. Of an
    owner on this machine one sees at once that it is dead; of another one, when the file was not
    touched for a while by *this* machine's clock, so that clocks need not agree. An owner that
    was only frozen may come back and find its lock taken: then two do the same work.
    """
    me = f"{this_machine()} {os.getpid()} {uuid.uuid4().hex}"
    watch = _Watch(lock)
    while not _created(lock, me):
        if watch.owner_is_gone():
            _break(lock, watch.seen)
        else:
            time.sleep(POLL_S)
    over = threading.Event()
    beat = threading.Thread(target=_keep_alive, args=(lock, over), daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        if _owner(lock) == me:
            lock.unlink(missing_ok=True)


def is_held(lock: Path) -> bool:
    """Whether somebody holds a lock who, for all that is known, is alive."""
    owner = _owner(lock)
    return owner is not None and not _is_dead(owner)


class _Watch:
    """Looks at a lock again and again, for signs of life of its owner."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._sign: tuple[str | None, float] | None = None
        self._since = 0.0
        self.seen: str | None = None

    def owner_is_gone(self) -> bool:
        self.seen = _owner(self._lock)
        try:
            sign = (self.seen, self._lock.stat().st_mtime)
        except FileNotFoundError:
            return False
        if sign != self._sign:
            self._sign, self._since = sign, time.monotonic()
        return _is_dead(self.seen) or time.monotonic() - self._since > SILENCE_S


def _created(lock: Path, owner: str) -> bool:
    """Make the lock file, unless there is one."""
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(owner)
    return True


def _break(lock: Path, owner: str | None) -> None:
    """Take away the lock of an owner who is gone, and no other's."""
    grave = lock.with_name(f"{lock.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        lock.rename(grave)
        found = _owner(grave)
        grave.unlink()
        if found is not None and found != owner:  # somebody else broke it before, and took it
            _created(lock, found)


def _owner(lock: Path) -> str | None:
    try:
        return lock.read_text()
    except FileNotFoundError:
        return None


def _is_dead(owner: str | None) -> bool:
    machine, _, rest = (owner or "").partition(" ")
    pid = rest.partition(" ")[0]
    return machine == this_machine() and pid.isdigit() and is_gone(int(pid))


def _keep_alive(lock: Path, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT_S):
        with contextlib.suppress(FileNotFoundError):
            os.utime(lock)
