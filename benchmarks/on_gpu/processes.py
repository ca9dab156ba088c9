"""A check in a process of its own: it can neither hang the others nor spoil their GPU.

An error on a GPU may leave the whole process without it, and a kernel that hangs cannot be
interrupted from within.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure
from benchmarks.on_gpu.checks import CHECKS, Check, Result, perform
from benchmarks.on_gpu.setting import Found

_CHILD = "from benchmarks.on_gpu.processes import write; import sys; write(*sys.argv[1:])"


def run(name: str, device: str, check: Check | None = None) -> Result:
    """Run a check in another process, for as long as it may take.

    Parameters
    ----------
    name
        Of :data:`CHECKS`.
    device
        ``"cuda"`` or ``"cpu"``.
    check
        Its limit and environment, where they are others than in the table.
    """
    check = check or CHECKS[name]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file, told = Path(folder) / "found.json", Path(folder) / "stderr"
        with told.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, name, device, str(file)],
                env={**os.environ, **check.environment},
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
            error = _wait(process, check.limit_s)
        if not error and process.returncode:
            error = _last_line(told) or f"its process ended with {process.returncode}"
        found = None if error else _read(file)
    return Result(name, device, time.perf_counter() - began, found, error)


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> str:
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        # With all that it has started, such as processes that compile.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"took longer than {limit_s:g} s"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return ""


def _last_line(file: Path) -> str:
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith((" ", "\t")) and "Error" in line]
    return (errors or lines or [""])[-1]


def write(name: str, device: str, file: str) -> None:
    """Run a check in this process, and write what it finds."""
    Path(file).write_text(json.dumps(asdict(perform(name, device))))


def _read(file: Path) -> Found:
    fields: dict[str, Any] = json.loads(file.read_text())
    figures = tuple(Figure(**figure) for figure in fields["figures"])
    return Found(figures, tuple(fields["skipped"]), tuple(fields["notes"]))
