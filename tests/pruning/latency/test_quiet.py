"""While one process measures, those that train wait."""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

from study.pruning.latency import quiet
from study.pruning.latency.quiet import alone, at_work

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="no such locks")

SPAWN = multiprocessing.get_context("spawn")

Counter = Any  # a shared number, whose type has no public name


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "lock_folder", lambda: tmp_path)


def train(folder: Path, counter: Counter, begun: Event, over: Event) -> None:
    """An epoch a millisecond."""
    quiet.lock_folder = lambda: folder
    with at_work() as give_way:
        begun.set()
        while not over.is_set():
            time.sleep(0.001)
            counter.value += 1
            give_way()


@pytest.fixture
def trainers(tmp_path: Path) -> Iterator[list[Counter]]:
    """How many epochs each of three processes has trained so far."""
    over, counters, processes = SPAWN.Event(), [], []
    for _ in range(3):
        counter, begun = SPAWN.Value("i", 0), SPAWN.Event()
        processes.append(SPAWN.Process(target=train, args=(tmp_path, counter, begun, over)))
        counters.append(counter)
        processes[-1].start()
        assert begun.wait(60)
    yield counters
    over.set()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0


def test_nobody_trains_while_somebody_measures(
    trainers: list[Counter],
) -> None:
    for _ in range(5):
        with alone():
            before = [counter.value for counter in trainers]
            time.sleep(0.05)
            assert [counter.value for counter in trainers] == before
        deadline = time.monotonic() + 20
        while any(c.value == b for c, b in zip(trainers, before, strict=True)):
            assert time.monotonic() < deadline, "training did not go on"
            time.sleep(0.001)


def test_who_does_not_give_way_is_waited_for_no_longer_than_patience_lasts() -> None:
    with at_work():
        began = time.monotonic()
        with alone(patience_s=0.2):
            assert 0.2 <= time.monotonic() - began < 10


def test_measurements_do_not_overlap() -> None:
    with alone(), quiet._open("gate") as gate, pytest.raises(BlockingIOError):
        quiet.fcntl.flock(gate, quiet.fcntl.LOCK_EX | quiet.fcntl.LOCK_NB)
