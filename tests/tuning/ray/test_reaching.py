"""A cluster that cannot be joined, and a Ray that does not start: one message, soon."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp  # pytest's own folders are too long for sockets

import pytest

from study.errors import UsageError
from study.tuning.ray.reaching import cluster_address, not_started, refuse_unreachable

TOKEN = "of-the-test-0123456789"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8265", "nonsense", "a b:1", "host:0", "host:99999", "redis://x:1"]
)
def test_what_is_no_address_is_refused_with_how_to_write_one(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match=r"RAY_ADDRESS: .* is no address .*HOST:PORT"):
        refuse_unreachable()


@pytest.mark.parametrize(
    ("address", "expected"),
    [("", None), ("local", None), ("auto", "auto"), ("[::1]:6379", "[::1]:6379"), ("h:1", "h:1")],
)  # fmt: skip
def test_an_address_is_read(
    address: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert cluster_address() == expected


def test_of_a_cluster_that_is_gone_one_message_comes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    begun = time.monotonic()
    with pytest.raises(UsageError, match="can be joined: Connection refused"):
        refuse_unreachable()
    assert time.monotonic() - begun < 5


def test_a_port_at_which_something_else_listens_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UsageError, match="no answer in 2 s"):
            refuse_unreachable(longest_wait_s=2)


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Address of a cluster that wants a token; its processes end with the one that starts them."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats",
        f"--temp-dir={mkdtemp(prefix='r')}", "--min-worker-port=0", "--max-worker-port=0",
    ]  # fmt: skip
    own = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    own.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(
        command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("given", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "wrong"}])
def test_a_cluster_that_wants_a_token_is_explained(
    guarded: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RAY_ADDRESS": guarded, "RAY_AUTH_MODE": "token", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN") as told:
        refuse_unreachable()
    assert "wrong" not in str(told.value)


def test_with_its_token_a_cluster_says_what_it_has(
    guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"RAY_ADDRESS": guarded, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    found = refuse_unreachable()
    assert found is not None
    assert found["CPU"] == 1


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        ({"TMPDIR": "long"}, "RAY_TMPDIR=/tmp"),
        ({"HOME": "file"}, "Set HOME to a folder"),
        ({"RAY_TMPDIR": "missing"}, "Set RAY_TMPDIR to a folder that exists"),
    ],
)
def test_a_ray_that_cannot_start_here_is_said_in_a_line_with_what_to_do(
    variables: dict[str, str], remedy: str, tmp_path: Path
) -> None:
    places = {
        "long": tmp_path / ("d" * 90),
        "file": tmp_path / "file",
        "missing": Path("/proc/none"),
    }
    places["long"].mkdir()
    places["file"].write_text("")
    own = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    own |= {name: str(places[place]) for name, place in variables.items()}
    own |= {"PYTHONPATH": str(Path(__file__).parents[3]), "RAY_ADDRESS": "local"}
    code = (
        "from study.tuning.ray.ray_session import ray_session\n"
        "from study.errors import UsageError\n"
        "try:\n    with ray_session(): print('it started')\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("Ray cannot be started: "), done.stdout + done.stderr
    assert remedy in done.stdout
    assert "Traceback" not in done.stderr


def test_what_is_not_known_is_left_to_the_doctor() -> None:
    assert "prune-study doctor" in str(not_started(RuntimeError("the raylet died\nand more")))
    assert "and more" not in str(not_started(RuntimeError("the raylet died\nand more")))
