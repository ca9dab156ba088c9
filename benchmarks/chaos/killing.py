"""Processes of a study that is under way: which they are, and how one of them is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROLES = ("driver", "worker", "raylet", "gcs_server")

_MARK = "PRUNE_STUDY_CHAOS_LIFE"
"""In the environment of all processes of a life, also of those whose parent is gone."""

LONGEST_END_S = 30.0
"""Within which all processes of a study must have ended after their driver."""

ROOT = Path(__file__).parents[2]


@dataclass
class Life:
    """One attempt at a study: a driver, and the Ray of its own."""

    process: subprocess.Popen[bytes]
    mark: str = field(repr=False)
    folder: Path = field(repr=False)

    @property
    def is_over(self) -> bool:
        """Whether its driver has ended."""
        return self.process.poll() is not None

    def of(self, role: str) -> list[psutil.Process]:
        """Its processes by what they do; only a worker that works is one."""
        if role == "driver":
            return [] if self.is_over else [psutil.Process(self.process.pid)]
        return [each for each in _below(self.process.pid) if _does(each, role)]

    def kill(self, role: str, pick: Callable[[Sequence[psutil.Process]], psutil.Process]) -> bool:
        """Kill one process of a role, without a warning; whether there was one."""
        victims = self.of(role)
        if not victims:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            pick(victims).send_signal(signal.SIGKILL)
            return True
        return False

    def left_behind(self) -> list[psutil.Process]:
        """Processes that are still there when they had their time to end; those are ended now.

        Ray's agents are ended too, and not counted: they look every few seconds for the raylet that
        began them, and end within a minute or so of its death.
        """
        ends = time.monotonic() + LONGEST_END_S
        while (alive := self._counted()) and time.monotonic() < ends:
            time.sleep(0.2)
        for each in _of_life(self.mark, self.folder):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        return alive

    def _counted(self) -> list[psutil.Process]:
        return [each for each in _of_life(self.mark, self.folder) if not _is_agent(each)]


def begin(command: Sequence[str], folder: Path, log: Path) -> Life:
    """Start ``prune-study`` with these arguments in a folder, with its own Ray.

    Parameters
    ----------
    command
        What follows ``prune-study``.
    folder
        To call it in.
    log
        What it says is added there.
    """
    mark = uuid.uuid4().hex
    own = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), _MARK: mark}
    own["RAY_ADDRESS"] = "local"  # and no cluster that happens to run on this machine
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "study.cli", *command], cwd=folder, env=own, stdout=said,
            stderr=said,
        )  # fmt: skip
    return Life(process, mark, folder.resolve())


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _does(process: psutil.Process, role: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        name, line = process.name(), " ".join(process.cmdline())
    except psutil.Error:
        return False
    is_worker = line.startswith("ray::") and "IDLE" not in line and not _is_agent(process)
    return is_worker if role == "worker" else name == role


def _is_agent(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] in (["ray::DashboardAgent"], ["ray::RuntimeEnvAgent"])
    except psutil.Error:
        return True  # gone meanwhile


def _of_life(mark: str, folder: Path) -> list[psutil.Process]:
    """By their mark; Ray's agents write their title over it, and are known by their folder."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if each.status() == psutil.STATUS_ZOMBIE:
                continue
            is_rays = " ".join(each.cmdline()).startswith("ray::")
            if each.environ().get(_MARK) == mark or (is_rays and each.cwd() == str(folder)):
                found.append(each)
    return found
