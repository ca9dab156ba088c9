"""A study as a job of a real Ray head, with a token; what is sent, followed and fetched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from study.clusters import job
from study.clusters.job import _exit_code, _Log, _submit, connect
from study.errors import UsageError
from tests.clusters.processes import alone, free_port, head_with_dashboard, wait_until

OWN_TASK = """
import torch
from torch import nn
from study.tasks import make_task
from helper import WIDTH

def task():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 2, generator=generator)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    return make_task(
        lambda: nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2)),
        train=(inputs[:150], targets[:150]), validation=0.2,
        test=(inputs[150:], targets[150:]), epochs=2, batch_size=50, lr=0.1,
    )
"""

STUDY = """
[study]
name = "own"
num_samples = 1
[task]
object = "own:task"
[space]
rounds = 1
[search]
textbook = false
[sensitivity]
scan = false
[confirm]
share = 0
[report]
controls = false
"""


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, dict[str, str]]]:
    # Short, for the sockets in it.
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    try:
        with head_with_dashboard(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def launching(address: str, folder: Path, *arguments: str) -> list[str]:
    (folder / "own.py").write_text(OWN_TASK)
    (folder / "helper.py").write_text("WIDTH = 8\n")
    (folder / "own.toml").write_text(STUDY)
    return [
        sys.executable, "-m", "study.cli", "launch", "own.toml", "--backend", "job",
        "--address", address, "--storage-path", str(folder / "studies"), *arguments,
    ]  # fmt: skip


def test_a_study_with_modules_of_its_own_runs_there_and_its_report_is_fetched(
    head: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    address, token = head
    command = launching(address, tmp_path, "-o", "copy.html")
    ended = subprocess.run(
        command, cwd=tmp_path, env=alone(**token), capture_output=True, text=True, timeout=400
    )
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "studies" / "own"
    assert ended.stdout == f"{folder}\n"
    assert "own: search over" in ended.stderr
    assert len((folder / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "copy.html").read_bytes() == (folder / "report.html").read_bytes()


def test_a_bad_study_ends_with_the_jobs_own_code(
    head: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    address, token = head
    command = launching(address, tmp_path)
    (tmp_path / "own.py").write_text("def task():\n    return 'no task'\n")
    ended = subprocess.run(
        command, cwd=tmp_path, env=alone(**token), capture_output=True, text=True, timeout=400
    )
    assert ended.returncode == 2, ended.stderr
    assert "not a Task" in ended.stderr


def test_an_interrupt_stops_the_job(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    address, token = head
    command = launching(address, tmp_path, "--set", "task.epochs=100000")
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=alone(**token), stdout=output, stderr=output
        )
    try:
        wait_until(
            lambda: "own: training" in log.read_text() or process.poll() is not None, limit_s=300
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130, log.read_text()
    finally:
        process.kill()
    assert "the job was stopped" in log.read_text()


def test_who_has_no_token_is_told_of_it(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    command = launching(head[0], tmp_path)
    nobody = alone(HOME=str(tmp_path / "home"), RAY_AUTH_MODE="disabled")
    ended = subprocess.run(
        command, cwd=tmp_path, env=nobody, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "RAY_AUTH_TOKEN_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr


class _Dashboard(BaseHTTPRequestHandler):
    """Answers as a dashboard does that is asked for its version."""

    def do_GET(self) -> None:
        body = json.dumps({"version": "4", "ray_version": ray.__version__}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_address_that_is_given_is_asked_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would put what its variables say, or a cluster of this machine, in its place."""
    nobody = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", nobody)
    with HTTPServer(("127.0.0.1", 0), _Dashboard) as server, ThreadPoolExecutor(1) as beside:
        beside.submit(server.serve_forever)
        try:
            connect(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    assert os.environ["RAY_API_SERVER_ADDRESS"] == nobody
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
    with pytest.raises(UsageError) as told:
        connect(nobody)
    assert str(told.value) == (
        f"--address: no Ray dashboard answers at {nobody}. Write http://HOST:8265, as "
        "`ray start --head` tells it; it is there if 'ray[default]' is installed there."
    )
    assert "RAY_API_SERVER_ADDRESS" not in os.environ


def test_a_head_that_just_came_up_is_given_time_and_no_other_refusal_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job, "POLL_S", 0.01)
    not_yet = RuntimeError("status code 500: No available agent to submit job")
    answers: list[Exception | str] = [not_yet, not_yet, "id", RuntimeError("status code 400: bad")]
    sent: list[str] = []

    def submit_job(entrypoint: str) -> str:
        sent.append(entrypoint)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = SimpleNamespace(submit_job=submit_job)
    assert _submit(client, entrypoint="x") == "id"
    with pytest.raises(UsageError, match="takes no job: status code 400: bad"):
        _submit(client, entrypoint="y")
    assert sent == ["x"] * 3 + ["y"]
    monkeypatch.setattr(job, "AGENT_S", 0.0)
    answers.append(not_yet)
    with pytest.raises(UsageError, match="No available agent"):
        _submit(client, entrypoint="z")


def test_lines_are_shown_once_though_the_connection_is_lost() -> None:
    """Every connection tells all from the first line on."""
    answers = [
        ["one\ntw", RuntimeError("gone")],
        ["one\n", "two\nthr", RuntimeError("gone")],
        ["one\ntwo\nthree\nfour"],
    ]

    class Client:
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            for chunk in answers.pop(0):
                if isinstance(chunk, Exception):
                    raise chunk
                yield str(chunk)

    import asyncio

    said: list[str] = []
    log = _Log(Client(), "job", said.append)
    cut_off = []
    for _ in range(3):
        asyncio.run(log.follow())
        cut_off.append(log.is_cut_off)
    shown = [line for line in said if "connection" not in line]
    assert shown == ["one", "two", "three", "four"]
    assert len(said) == len(shown) + 1  # the loss is told once
    assert cut_off == [True, True, False]


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", None, 1), ("STOPPED", None, 130)],
)
def test_the_exit_code_is_the_studys(status: str, driver: int | None, code: int) -> None:
    info = SimpleNamespace(status=status, driver_exit_code=driver, message="no room")
    assert _exit_code(info, lambda _: None) == code
