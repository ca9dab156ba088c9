"""Who runs a study: claims, signs of life, and what they tell to whoever looks from outside.

An owner is a file ``owners/NNNN...json``, and the one with the highest number holds the folder. To
take over from a dead owner is to make the next number, which only one can. Beside it the owner
writes every few seconds that it is alive, and at the end how it ended.

Behind object stores a number is had by whoever sees its own claim alone; a claim that never was,
because its process ended before it looked, has no sign beside it, and makes nobody an owner.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from threading import Event as Signal
from threading import Thread
from typing import Literal

from study.errors import UsageError
from study.files.claims import LastClaim, last_claim, made, read_record, sign_file
from study.files.locations import hide_secrets
from study.processes import is_gone, this_machine
from study.records import OWNERS_DIR, Owner, Sign
from study.storage import Folder

BEAT_S = 4.0
REMOTE_BEAT_S = 10.0
"""Between two signs of life: on file systems, and behind object stores, where each is paid for."""

SILENCE_S = 45.0
"""An owner on another machine that was silent for so long is taken for dead."""

_TRIES = 6
_PAUSE_S = 0.2, 1.0
"""Before the second try, drawn evenly; each further pause is longer by as much."""

_WRITTEN_S = 2.0

Ended = Literal["finished", "interrupted", "failed"]
Standing = Literal["running", "dead"] | Ended


@dataclass(frozen=True)
class Held:
    """How the run of a study stands, seen from outside.

    Parameters
    ----------
    number
        How many have held the folder, this one included.
    owner
        Who holds it, or did last.
    sign
        The last sign of it; None where it wrote none.
    standing
        ``dead``: it never said that it ended, and is gone, or was silent for :data:`SILENCE_S`.
    """

    number: int
    owner: Owner
    sign: Sign | None
    standing: Standing

    @property
    def who(self) -> str:
        """For messages."""
        return f"{self.owner.owner} (process {self.owner.pid}, since {self.owner.claimed_at})"


def holder(folder: Folder) -> Held | None:
    """Who runs a study, or did last; None of a study of an older version, or none at all."""
    last = last_claim(folder)
    return None if last is None else _held(folder, last)


def _held(folder: Folder, last: LastClaim) -> Held | None:
    number, name = last.number, last.name
    owner = read_record(folder, name, Owner)
    if owner is None:
        return None
    sign = read_record(folder, sign_file(name), Sign)
    standing: Standing = "dead" if sign is None or sign.state == "running" else sign.state
    if standing == "dead" and _is_alive(owner, sign):
        standing = "running"
    return Held(number, owner, sign, standing)


class Claim:
    """A study's folder in our hands, until :meth:`release`; see :func:`claimed`."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.folder = folder
        self.name = name
        self.number = int(name[:4])
        self.lost = ""
        """Why the folder is not ours any more; empty while it is."""
        self._over = Signal()
        self._beat = Thread(target=self._keep_alive, daemon=True)
        self._write("running")
        self._beat.start()

    @property
    def stop_file(self) -> tuple[str, str]:
        """Where workers see that they are to keep what they have, and stop."""
        return OWNERS_DIR, f"{self.number:04d}.stop"

    def release(self, state: Ended, why: str = "") -> None:
        """Say how it ended."""
        self._over.set()
        self._beat.join()
        if not self.lost:
            self._write(state, why)

    def _keep_alive(self) -> None:
        pause = BEAT_S if self.folder.local_path is not None else REMOTE_BEAT_S
        while not self._over.wait(pause):
            # A full disk stops the study elsewhere, and is told of there.
            with contextlib.suppress(OSError):
                self.lost = self._why_lost()
                if self.lost:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                self._write("running")

    def _why_lost(self) -> str:
        last = last_claim(self.folder)
        if last is not None and last.number > self.number:
            return f"{self.folder.location} was taken over by another process"
        if last is None or last.number < self.number:
            return (
                f"{self.folder.location} was removed while the study ran; what is there now was "
                "written since, and is no whole study"
            )
        return ""

    def _write(self, state: Literal["running"] | Ended, why: str = "") -> None:
        sign = Sign(state=state, why=why)
        self.folder.write(sign.to_json(), OWNERS_DIR, sign_file(self.name))


def claim(folder: Folder, *, is_new: bool) -> Claim:
    """Take a study's folder, before anything is written into it.

    On file systems the claim is a file that is created exclusively. Object stores have no such
    call that pyarrow offers: there a claim is written and holds where it is then seen alone among
    those of its number; of several that see each other none holds, and each tries again after a
    time of its own, until one was alone and has signed. Of two that are written, the later one's
    listing shows the earlier one, where listings show every finished write (S3, GCS, Azure).

    Parameters
    ----------
    folder
        Of the study.
    is_new
        Whether nobody may have held it before; else it is taken over from one who is gone.

    Raises
    ------
    UsageError
        If somebody holds it, or, where it is to be new, did.
    """
    for attempt in range(_TRIES):
        number = _next_number(folder, is_new)
        name = None if number is None else made(folder, number)
        if name is not None:
            return Claim(folder, name)
        time.sleep(random.uniform(*_PAUSE_S) * (attempt + 1))
    raise UsageError(f"{folder.location}: others are starting it at this moment; try again.")


@contextmanager
def claimed(folder: Folder) -> Iterator[Claim]:
    """Hold a study's folder while more is added to it; then it stands as it stood before.

    Raises
    ------
    UsageError
        If somebody holds it.
    """
    before = refuse_running(folder)
    held = claim(folder, is_new=False)
    try:
        yield held
    finally:
        state: Ended = "finished"
        if before is not None and before.standing != "running":
            state = "interrupted" if before.standing == "dead" else before.standing
        with contextlib.suppress(OSError):
            held.release(state, before.sign.why if before and before.sign else "")


def one_line(error: BaseException) -> str:
    """An error in a line; of one that carries another one's traceback, that one's last line."""
    lines = str(error).strip().splitlines()
    carries = any(line.lstrip().startswith("Traceback (") for line in lines)
    text = hide_secrets(" ".join((lines[-1] if carries else str(error)).split()))
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def _next_number(folder: Folder, is_new: bool) -> int | None:
    """Which claim is to be made; None where others are making it at this moment."""
    last = last_claim(folder)
    if last is None:
        return 1
    if folder.local_path is None and not last.is_signed:
        return _without_stale(folder, last)
    if _is_being_written(folder, last):
        return None
    held = _held(folder, last)
    if held is not None and held.standing == "running" and not is_new:
        raise UsageError(_is_run(folder, held))
    if is_new and not is_unused(folder):
        raise UsageError(taken(folder, held))
    return last.number + 1


def _without_stale(folder: Folder, last: LastClaim) -> int | None:
    """The number, once claims that their processes left without an owner are taken away."""
    for name in last.rivals:
        owner = read_record(folder, name, Owner)
        if owner is None and folder.age_s(OWNERS_DIR, name) < SILENCE_S:
            return None  # gone since the listing, or damaged
        if owner is not None and _is_alive(owner, None):
            return None
    for name in last.rivals:
        folder.remove(OWNERS_DIR, name)
    return None if last.number > 1 else 1


def _is_being_written(folder: Folder, last: LastClaim) -> bool:
    """A file that is created exclusively is empty for a moment."""
    try:
        is_empty = not folder.read(OWNERS_DIR, last.name)
    except OSError:
        return False
    return is_empty and folder.age_s(OWNERS_DIR, last.name) < _WRITTEN_S


def refuse_running(folder: Folder) -> Held | None:
    """Who ran a study last.

    Raises
    ------
    UsageError
        If somebody runs it now.
    """
    held = holder(folder)
    if held is not None and held.standing == "running":
        raise UsageError(_is_run(folder, held))
    return held


def _is_run(folder: Folder, held: Held) -> str:
    return f"{folder.location} is being run by {held.who}."


def is_unused(folder: Folder) -> bool:
    """Whether a new study may begin there: it is empty, or its driver was gone before it wrote."""
    if folder.is_empty():
        return True
    held = holder(folder)
    is_free = held is not None and held.standing != "running"
    return is_free and folder.folders() == [OWNERS_DIR] and not folder.files()


def taken(folder: Folder, held: Held | None) -> str:
    """Why a name cannot be used for a new study."""
    if held is not None and held.standing == "running":
        return f"study.name: {_is_run(folder, held)}"
    if held is not None and held.standing != "finished":
        how = "died" if held.standing == "dead" else f"was {held.standing}".replace("was f", "f")
        return (
            f"study.name: the folder {folder.location} exists already, and its run {how}. Go on "
            f"with it: prune-study resume {quote(folder.location)}. Or choose another --name."
        )
    return (
        f"study.name: the folder {folder.location} exists already. Choose another --name, or "
        "remove it."
    )


def _is_alive(owner: Owner, sign: Sign | None) -> bool:
    """Of an owner on this machine one sees at once that it is dead; of others, by their silence."""
    if owner.machine == this_machine() and is_gone(owner.pid):
        return False
    last = datetime.fromisoformat(owner.claimed_at if sign is None else sign.at)
    return (datetime.now(UTC) - last).total_seconds() < SILENCE_S
