"""Ray by its own commands, on loopback and with a token; every process here is ended by its id."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alone(**further: str) -> dict[str, str]:
    """An environment with this project, this Python first on the path, and no cluster."""
    own = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RAY_", "SLURM_", "PYTEST_"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return {**own, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **further}


def wait_until(condition, limit_s: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    """Wait for something to become true.

    Raises
    ------
    TimeoutError
        If it does not.
    """
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether something does, on loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def started(*command: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:  # type: ignore[type-arg]
    """A process that runs meanwhile."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def head_with_dashboard(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A head node with one CPU and its dashboard; its address and what lets one in."""
    port, dashboard = free_port(), free_port()
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    command = (
        "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=1",
        "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}", f"--temp-dir={folder}",
        f"--dashboard-agent-listen-port={free_port()}",  # its own is another Ray's on this machine
    )  # fmt: skip
    log = folder / "head.log"
    with started(*command, environment=alone(**token), log=log) as process:
        wait_until(lambda: process.poll() is not None or listens(dashboard))
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{dashboard}", token
