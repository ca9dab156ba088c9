"""What a further line of a file costs: on a disk, and behind an S3-compatible server."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock
from urllib.request import Request, urlopen

from benchmarks.measuring import Figure
from study.records import Event
from study.storage import Folder

NAME = "events.jsonl"

SERVER = """
import logging, time
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
time.sleep(1e6)
"""

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


def measure(quick: bool = False) -> list[Figure]:
    """Milliseconds a line, the first thousand and the last one of ten thousand."""
    lines = 2_000 if quick else 10_000
    figures = []
    with tempfile.TemporaryDirectory() as place, _bucket() as uri:
        for where, location in {"disk": place, "S3": uri}.items():
            folder = Folder(location)
            line_ms = list(_appended(folder, lines))
            thousands = [line_ms[start : start + 1000] for start in range(0, lines, 1000)]
            figures += [
                Figure.of(f"{where}, a line, the first thousand", "ms", thousands[0]),
                Figure.of(f"{where}, a line, the last thousand of {lines:,}", "ms", thousands[-1]),
                Figure.of(
                    f"{where}, mean of the last thousand to the first",
                    "x",
                    [statistics.fmean(thousands[-1]) / statistics.fmean(thousands[0])],
                    "<= 1.5",
                ),
                Figure.of(f"{where}, all {lines:,} read", "ms", [_read_ms(location, lines)]),
            ]
    return figures


def _appended(folder: Folder, lines: int) -> Iterator[float]:
    for number in range(lines):
        detail = {"round": number, "density": 0.0123456789, "accuracy": 0.987654321}
        line = Event(event="round_finished", trial_id=f"{number:04d}", detail=detail).to_json()
        begin = time.perf_counter()
        folder.append_line(line, NAME)
        yield (time.perf_counter() - begin) * 1000


def _read_ms(location: str, lines: int) -> float:
    begin = time.perf_counter()
    found = Folder(location).read(NAME).count(b"\n")
    assert found == lines
    return (time.perf_counter() - begin) * 1000


@contextmanager
def _bucket() -> Iterator[str]:
    """A bucket of a server in a process of its own, which takes no time from this one."""
    with mock.patch.dict(os.environ, KEYS):
        command = [sys.executable, "-c", SERVER]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                with urlopen(Request(f"http://127.0.0.1:{port}/lines", method="PUT")):
                    pass
                yield f"s3://lines/x?endpoint_override=127.0.0.1:{port}&scheme=http"
            finally:
                process.kill()
