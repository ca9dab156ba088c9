"""Does the Ray cluster that a study is to run on answer? Asked with an end, and in plain words.

``ray.init`` has no time limit: of a cluster that is gone it waits for minutes inside of Ray's C++
code, where no other thread can end it. So another process asks first, which can be ended.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from study.errors import UsageError

LONGEST_WAIT_S = 20.0
"""A cluster that has not answered by then is taken for gone."""

ADDRESS = "RAY_ADDRESS"

_WRITTEN = re.compile(r"(auto|local)|(ray://)?(\[[0-9A-Fa-f:]+\]|[\w.-]+):(\d{1,5})")

_ASK = """
import json, logging, sys
import ray
try:
    ray.init(log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
    answer = {"resources": ray.cluster_resources()}
except BaseException as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answer), flush=True)
"""

AUTHENTICATION = (
    "The cluster wants a token (Ray 2.52 and later). Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN "
    "to the cluster's token or RAY_AUTH_TOKEN_PATH to a file with it; without either, Ray reads "
    "~/.ray/auth_token. On its head node `ray get-auth-token` prints it."
)


def cluster_address() -> str | None:
    """The cluster that RAY_ADDRESS names; None where a study starts Ray itself.

    Raises
    ------
    UsageError
        If what it says is no address.
    """
    address = os.environ.get(ADDRESS) or None
    if address is None:
        return None
    written = _WRITTEN.fullmatch(address)
    if written is None or int(written[4] or 1) not in range(1, 2**16):
        raise UsageError(
            f"{ADDRESS}: {address!r} is no address of a Ray cluster. Write HOST:PORT, such as "
            "10.0.0.1:6379: the port of the head node that `ray start --head` tells, not that of "
            "the dashboard (8265). Unset it to start Ray on this machine."
        )
    return None if address == "local" else address


def refuse_unreachable(longest_wait_s: float = LONGEST_WAIT_S) -> dict[str, float] | None:
    """Make sure that the cluster at RAY_ADDRESS answers.

    Parameters
    ----------
    longest_wait_s
        Seconds after which it is taken for gone.

    Returns
    -------
    dict or None
        The cluster's resources; None where RAY_ADDRESS names none.

    Raises
    ------
    UsageError
        If there is none, or it wants a token that it is not given.
    """
    address = cluster_address()
    if address is None:
        return None
    _refuse_closed(address)
    begun, ends = time.monotonic(), time.monotonic() + longest_wait_s
    with TemporaryFile() as said, TemporaryFile() as answered:
        process = subprocess.Popen([sys.executable, "-P", "-c", _ASK], stdout=answered, stderr=said)
        try:
            while process.poll() is None and time.monotonic() < ends:
                if _wants_token(_text(said)):
                    raise UsageError(f"{ADDRESS}: {address} lets nobody in. {AUTHENTICATION}")
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        told, lines = _text(said), _text(answered).splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    if "resources" in answer:
        found: dict[str, float] = answer["resources"]
        return found
    if _wants_token(f"{told}{answer}"):
        raise UsageError(f"{ADDRESS}: {address} lets nobody in. {AUTHENTICATION}")
    waited = f"no answer in {time.monotonic() - begun:.0f} s"
    reason = answer.get("error", waited).strip().partition("\n")[0]
    raise _not_joined(address, reason)


def _refuse_closed(address: str) -> None:
    """What the network says at once need not be waited for."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (ConnectionRefusedError, socket.gaierror) as error:
        raise _not_joined(address, str(error.strerror)) from error
    except OSError:
        return  # slow, or behind a proxy of its own: Ray is asked


def _not_joined(address: str, reason: str) -> UsageError:
    return UsageError(
        f"{ADDRESS}: no Ray cluster at {address} can be joined: {reason}. Is it running, with the "
        "same versions of Ray and Python, and is this its port (6379 unless it was started with "
        "another)? Unset RAY_ADDRESS to start Ray on this machine."
    )


def not_started(error: BaseException) -> UsageError:
    """What to do about a Ray that did not start on this machine."""
    text = str(error).strip().partition("\n")[0]
    remedy = "See `prune-study doctor`."
    if "AF_UNIX" in text or "socket_filename" in text:
        remedy = "Ray's folder for sockets has too long a path: set RAY_TMPDIR=/tmp."
    elif _wants_token(text) or "auth" in text.lower() or _is_home(error):
        remedy = (
            "Ray keeps its token in ~/.ray/auth_token, which cannot be written. Set HOME to a "
            "folder that can, or RAY_AUTH_TOKEN to a long random text of your own."
        )
    elif isinstance(error, OSError):
        remedy = "Set RAY_TMPDIR to a folder that exists and can be written, such as /tmp."
    return UsageError(f"Ray cannot be started: {type(error).__name__}: {text}. {remedy}")


def _is_home(error: BaseException) -> bool:
    name = getattr(error, "filename", None)
    return isinstance(name, str) and Path(name).name in (".ray", "auth_token")


def _wants_token(text: str) -> bool:
    signs = (
        "Unauthenticated",
        "InvalidAuthToken",
        "AuthenticationError",
        "no authentication token",
    )
    return any(sign in text for sign in signs)


def _text(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace")
