"""One holds a lock at a time, and nobody waits for the dead."""

import threading
import time
from pathlib import Path

import pytest

from study.tuning.dense_runs.lock_files import held, is_held
from tests.tuning.locks import lock_of_a_dead_process

ELSEWHERE = "another-machine 1 abc"


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    lock, inside, most = tmp_path / "lock", [0], [0]

    def hold() -> None:
        for _ in range(5):
            with held(lock):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.005)
                inside[0] -= 1

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_here_is_free_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock_of_a_dead_process(lock)
    assert not is_held(lock)
    begin = time.monotonic()
    with held(lock):
        assert is_held(lock)
    assert time.monotonic() - begin < 2
    assert not lock.exists()


def test_the_lock_of_a_silent_process_elsewhere_is_free_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.dense_runs.lock_files.SILENCE_S", 0.3)
    lock = tmp_path / "lock"
    lock.write_text(ELSEWHERE)
    assert is_held(lock)
    begin = time.monotonic()
    with held(lock):
        assert 0.3 <= time.monotonic() - begin < 5


def test_a_process_elsewhere_that_gives_signs_of_life_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.dense_runs.lock_files.SILENCE_S", 0.4)
    lock, over = tmp_path / "lock", threading.Event()
    lock.write_text(ELSEWHERE)

    def live() -> None:
        for _ in range(20):
            lock.touch()
            time.sleep(0.05)
        over.set()
        lock.unlink()

    threading.Thread(target=live).start()
    with held(lock):
        assert over.is_set()


def test_an_owner_touches_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tuning.dense_runs.lock_files.HEARTBEAT_S", 0.02)
    lock, times = tmp_path / "lock", set()
    with held(lock):
        for _ in range(20):
            times.add(lock.stat().st_mtime_ns)
            time.sleep(0.02)
    assert len(times) > 3


def test_who_lost_a_lock_leaves_that_of_the_next_alone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock):
        lock.write_text(ELSEWHERE)
    assert lock.read_text() == ELSEWHERE
