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
def small_disk(place: Path) -> Iterator[Callable[[], str]]:
    """A file system of its own; what is yielded fills it to the last byte, and tells the error.

    Where none may be mounted, no file of this process, which is the driver, grows past the events;
    workers may write.
    """
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    is_mounted = subprocess.run(command, capture_output=True).returncode == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> str:
        if not is_mounted:
            size = (place / "s" / EVENTS_FILE).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
            return "OSError: [Errno 27] File too large"
        with (place / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 16, 1):
                while True:
                    try:
                        file.write(b"\0" * size)
                    except OSError:
                        break
        return "OSError: [Errno 28] No space left on device"

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_a_study_in_a_line(ray_cluster: None, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    (tmp_path / "s.toml").write_text(to_toml(load_config(TABLES)))

    def fill_within_the_search(fill: Callable[[], str]) -> str:
        ends = time.monotonic() + LONGEST_S
        while not (place / "s" / "trials" / "0001" / ROUNDS_FILE).exists():
            assert time.monotonic() < ends
            time.sleep(0.01)
        return fill()

    with small_disk(place) as fill, ThreadPoolExecutor(1) as beside:
        filling = beside.submit(fill_within_the_search, fill)
        command = ("run", "s.toml", "--storage-path", str(place), "--quiet")
        ended = call(*command, cwd=tmp_path)
        why = filling.result()
    assert ended.exit_code == 1
    assert "Traceback" not in ended.output
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"prune-study: the study failed: TuneError: {why}")
    assert line.endswith(f"; go on with: prune-study resume {place}/s")
