"""A disk that is full in the middle of a study: one line, exit code 1, and it can go on."""

import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from study.configuration.loading import load_config, to_toml
from study.records import EVENTS_FILE, ROUNDS_FILE
from tests.conftest import SMALL, call

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 50},
    "resources": {"max_concurrent": 1, "checkpoint_interval_s": 0.01},
}

LONGEST_S = 120.0


@contextmanager
def mounted(place: Path) -> Iterator[Callable[[], None]]:
    """A file system of its own; what is yielded fills it to the last byte."""
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")

    def fill() -> None:
        with (place / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 16, 1):
                while True:
                    try:
                        file.write(b"\0" * size)
                    except OSError:
                        break

    try:
        yield fill
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def limited(place: Path) -> Iterator[Callable[[], None]]:
    """No file of this process, which is the driver, grows past the events; workers may write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        size = (place / "s" / EVENTS_FILE).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (limited, "TuneError: OSError: [Errno 27] File too large"),
        (mounted, "TuneError: OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_ends_a_study_in_a_line(
    ray_cluster: None, tmp_path: Path, kind: Callable[..., Any], why: str
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    (tmp_path / "s.toml").write_text(to_toml(load_config(TABLES)))

    def fill_within_the_search(fill: Callable[[], None]) -> None:
        ends = time.monotonic() + LONGEST_S
        while not (place / "s" / "trials" / "0001" / ROUNDS_FILE).exists():
            assert time.monotonic() < ends
            time.sleep(0.01)
        fill()

    with kind(place) as fill, ThreadPoolExecutor(1) as beside:
        filling = beside.submit(fill_within_the_search, fill)
        command = ("run", "s.toml", "--storage-path", str(place), "--quiet")
        ended = call(*command, cwd=tmp_path)
        filling.result()
    assert ended.exit_code == 1
    assert "Traceback" not in ended.output
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"prune-study: the study failed: {why}")
    assert line.endswith(f"; go on with: prune-study resume {place}/s")
