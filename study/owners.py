"""Who runs a study: claims, signs of life, and what they tell to whoever looks from outside.

An owner is a file ``owners/NNNN...json``, and the one with the highest number holds the folder. To
take over from a dead owner is to make the next number, which only one can. Beside it the owner
writes every few seconds that it is alive, and at the end how it ended.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Literal, TypeVar

from pydantic import ValidationError

from study.errors import UsageError
from study.records import OWNERS_DIR, Owner, Sign
from study.storage import Folder

BEAT_S = 4.0
REMOTE_BEAT_S = 10.0
"""Between two signs of life: on file systems, and behind object stores, where each is paid for."""

SILENCE_S = 45.0
"""An owner on another machine that was silent for so long is taken for dead."""

_TRIES = 6

Standing = Literal["running", "finished", "interrupted", "failed", "dead"]


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
    last = _last_claim(folder)
    if last is None:
        return None
    number, name = last
    owner = _read(folder, name, Owner)
    if owner is None:
        return None
    sign = _read(folder, _sign_file(number), Sign)
    standing: Standing = "dead" if sign is None or sign.state == "running" else sign.state
    if standing == "dead" and _is_alive(owner, sign):
        standing = "running"
    return Held(number, owner, sign, standing)


class Claim:
    """A study's folder in our hands, until :meth:`release`; see :func:`claimed`."""

    def __init__(self, folder: Folder, number: int) -> None:
        self.folder = folder
        self.number = number
        self.is_lost = False
        self._over = Signal()
        self._beat = Thread(target=self._keep_alive, daemon=True)
        self._write("running")
        self._beat.start()

    @property
    def stop_file(self) -> tuple[str, str]:
        """Where workers see that they are to keep what they have, and stop."""
        return OWNERS_DIR, f"{self.number:04d}.stop"

    def release(self, state: Literal["finished", "interrupted", "failed"], why: str = "") -> None:
        """Say how it ended."""
        self._over.set()
        self._beat.join()
        if not self.is_lost:
            self._write(state, why)

    def _keep_alive(self) -> None:
        pause = BEAT_S if self.folder.local_path is not None else REMOTE_BEAT_S
        while not self._over.wait(pause):
            # A full disk stops the study elsewhere, and is told of there.
            with contextlib.suppress(OSError):
                last = _last_claim(self.folder)
                if last is not None and last[0] > self.number:
                    self.is_lost = True
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                self._write("running")

    def _write(
        self, state: Literal["running", "finished", "interrupted", "failed"], why: str = ""
    ) -> None:
        sign = Sign(state=state, why=why)
        self.folder.write(sign.to_json(), OWNERS_DIR, _sign_file(self.number))


def claim(folder: Folder, *, is_new: bool) -> Claim:
    """Take a study's folder, before anything is written into it.

    On file systems the claim is a file that is created exclusively. Object stores have no such
    call that every client offers: there a claim is written and holds where it is then seen alone
    among those of its number; of several that see each other none holds, and each tries again
    after a time of its own. Listings that show every finished write (S3, GCS, Azure) make it safe.

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
        before = _refuse(folder, is_new)
        if _made(folder, before + 1):
            return Claim(folder, before + 1)
        if folder.local_path is None:
            time.sleep(random.uniform(0.2, 1.0) * (attempt + 1))
    raise UsageError(f"{folder.location}: others are starting it at this moment; try again.")


@contextmanager
def claimed(folder: Folder, *, is_new: bool = False) -> Iterator[Claim]:
    """Hold a study's folder while its trials are run again, or what is missing is added."""
    held = claim(folder, is_new=is_new)
    try:
        yield held
    except KeyboardInterrupt:
        held.release("interrupted")
        raise
    except BaseException as error:
        held.release("failed", one_line(error))
        raise
    held.release("finished")


def one_line(error: BaseException) -> str:
    """An error in a line; of one that carries another one's traceback, that one's last line."""
    lines = str(error).strip().splitlines()
    carries = any(line.lstrip().startswith("Traceback (") for line in lines)
    text = " ".join((lines[-1] if carries else str(error)).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def _refuse(folder: Folder, is_new: bool) -> int:
    """The number of the last claim, 0 where there is none; refused where it stands in the way."""
    held = refuse_running(folder)
    if held is None:
        last = _last_claim(folder)
        return 0 if last is None else last[0]
    if is_new:
        raise UsageError(taken(folder, held))
    return held.number


def refuse_running(folder: Folder) -> Held | None:
    """Who ran a study last.

    Raises
    ------
    UsageError
        If somebody runs it now.
    """
    held = holder(folder)
    if held is not None and held.standing == "running":
        raise UsageError(f"{folder.location} is being run by {held.who}.")
    return held


def taken(folder: Folder, held: Held | None) -> str:
    """Why a name cannot be used for a new study."""
    if held is not None and held.standing == "running":
        return f"study.name: {folder.location} is being run by {held.who}."
    if held is not None and held.standing != "finished":
        how = "died" if held.standing == "dead" else f"was {held.standing}".replace("was f", "f")
        return (
            f"study.name: the folder {folder.location} exists already, and its run {how}. Go on "
            f"with it: prune-study resume {folder.location}. Or choose another --name."
        )
    return (
        f"study.name: the folder {folder.location} exists already. Choose another --name, or "
        "remove it."
    )


def _made(folder: Folder, number: int) -> bool:
    me = Owner(owner=f"{_user()}@{socket.gethostname()}", machine=this_machine(), pid=os.getpid())
    if folder.local_path is not None:
        return folder.create(me.to_json(), OWNERS_DIR, f"{number:04d}.json")
    mine = f"{number:04d}-{uuid.uuid4().hex}.json"
    folder.write(me.to_json(), OWNERS_DIR, mine)
    rivals = [name for name in _claims(folder) if name.startswith(f"{number:04d}")]
    if rivals == [mine]:
        return True
    folder.remove(OWNERS_DIR, mine)
    return False


def _claims(folder: Folder) -> list[str]:
    names = folder.files(OWNERS_DIR)
    return [n for n in names if n[:4].isdecimal() and n.endswith(".json") and ".sign" not in n]


def _last_claim(folder: Folder) -> tuple[int, str] | None:
    names = _claims(folder)
    return (int(names[-1][:4]), names[-1]) if names else None


def _sign_file(number: int) -> str:
    return f"{number:04d}.sign.json"


_R = TypeVar("_R", Owner, Sign)


def _read(folder: Folder, name: str, kind: type[_R]) -> _R | None:
    try:
        return kind.model_validate_json(folder.read(OWNERS_DIR, name))
    except (OSError, ValidationError):
        return None  # not there yet, or damaged: then nobody is known to hold it


def _is_alive(owner: Owner, sign: Sign | None) -> bool:
    """Of an owner on this machine one sees at once that it is dead; of others, by their silence."""
    if owner.machine == this_machine() and is_gone(owner.pid):
        return False
    last = datetime.fromisoformat(owner.claimed_at if sign is None else sign.at)
    return (datetime.now(UTC) - last).total_seconds() < SILENCE_S


def is_gone(pid: int) -> bool:
    """Whether no process of this machine has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def this_machine() -> str:
    """Name of what process ids belong to: containers on one machine each have their own."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return str(os.getuid())
