"""Claims on a folder, as files of it: which is the last one, and how one is made."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from study.processes import this_machine, user_name
from study.records import OWNERS_DIR, Owner, Sign
from study.storage import Folder

_R = TypeVar("_R", Owner, Sign)


def read_record(folder: Folder, name: str, kind: type[_R]) -> _R | None:
    """A claim or a sign; None where it is not there yet, or damaged: nobody is known then."""
    try:
        return kind.model_validate_json(folder.read(OWNERS_DIR, name))
    except (OSError, ValidationError):
        return None


def made(folder: Folder, number: int) -> str | None:
    """The name of the claim, if it was made and is ours."""
    me = Owner(
        owner=f"{user_name()}@{socket.gethostname()}", machine=this_machine(), pid=os.getpid()
    )
    if folder.local_path is not None:
        name = f"{number:04d}.json"
        return name if folder.create(me.to_json(), OWNERS_DIR, name) else None
    mine = f"{number:04d}-{uuid.uuid4().hex}.json"
    folder.write(me.to_json(), OWNERS_DIR, mine)
    if _is_alone(folder, mine):
        folder.write(Sign(state="running").to_json(), OWNERS_DIR, sign_file(mine))
        if _is_alone(folder, mine):  # nobody took it for stale before it was signed
            return mine
        folder.remove(OWNERS_DIR, sign_file(mine))
    folder.remove(OWNERS_DIR, mine)
    return None


def _is_alone(folder: Folder, mine: str) -> bool:
    return [name for name in _claims(folder.files(OWNERS_DIR)) if name[:4] >= mine[:4]] == [mine]


@dataclass(frozen=True)
class LastClaim:
    """The claim with the highest number; of rivals behind an object store the one that is signed.

    Parameters
    ----------
    name
        Of its file.
    rivals
        All claims of this number.
    is_signed
        Whether it has a sign.
    """

    name: str
    rivals: tuple[str, ...]
    is_signed: bool

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.name[:4])


def last_claim(folder: Folder) -> LastClaim | None:
    """The last claim; None where nobody ever made one."""
    names = folder.files(OWNERS_DIR)
    claims = _claims(names)
    if not claims:
        return None
    rivals = [name for name in claims if name[:4] == claims[-1][:4]]
    signed = [name for name in rivals if sign_file(name) in names]
    return LastClaim((signed or rivals)[-1], tuple(rivals), bool(signed))


def _claims(names: list[str]) -> list[str]:
    return [n for n in names if n[:4].isdecimal() and n.endswith(".json") and ".sign" not in n]


def sign_file(claim_name: str) -> str:
    """The name of the file in which its owner says that it is alive."""
    return claim_name.removesuffix(".json") + ".sign.json"
