"""Processes of this machine, and what tells it from others."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from pathlib import Path


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


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return str(os.getuid())
