"""Dense runs that studies share: trained once, whoever asks, whatever dies."""

import os
import threading
import time
from pathlib import Path

from study.storage import Folder
from study.tuning.dense_runs.shared_runs import LOCK_FILE, SharedRuns
from tests.tuning.locks import lock_of_a_dead_process


def runs(folder: Path, budget_bytes: int = 1000) -> SharedRuns:
    return SharedRuns(Folder(str(folder)), budget_bytes)


def test_what_was_written_is_read_and_nothing_else(tmp_path: Path) -> None:
    shared = runs(tmp_path)
    assert shared.read("a") is None
    shared.write("a", b"states")
    assert shared.read("a") == b"states"
    assert runs(tmp_path).read("a") == b"states"


def test_of_many_who_ask_one_trains_and_the_others_find_it(tmp_path: Path) -> None:
    trained: list[int] = []

    def ask(number: int) -> None:
        shared = runs(tmp_path)
        with shared.training("a"):
            if shared.read("a") is None:
                trained.append(number)
                time.sleep(0.3)
                shared.write("a", b"states")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert not (tmp_path / "a" / LOCK_FILE).exists()


def test_runs_of_other_names_do_not_wait(tmp_path: Path) -> None:
    with runs(tmp_path).training("a"), runs(tmp_path).training("b"):
        pass


def test_beyond_the_budget_the_least_recently_used_goes_and_never_the_newest(
    tmp_path: Path,
) -> None:
    shared = runs(tmp_path, budget_bytes=25)
    for place, name in enumerate(("a", "b")):
        shared.write(name, b"0123456789")
        os.utime(tmp_path / name / "trajectory.safetensors", (100 + place, 100 + place))
    assert shared.read("a") is not None  # a is used now, so b is the one used longest ago
    shared.write("c", b"0123456789")
    assert shared.read("b") is None
    assert shared.read("a") is not None
    assert shared.read("c") is not None
    shared.write("d", b"x" * 100)
    assert shared.read("d") is not None
    assert shared.read("a") is None


def test_a_run_that_is_being_trained_is_not_evicted(tmp_path: Path) -> None:
    shared = runs(tmp_path, budget_bytes=15)
    shared.write("a", b"0123456789")
    with shared.training("a"):
        shared.write("b", b"0123456789")
        assert shared.read("a") is not None


def test_a_run_whose_trainer_died_can_be_evicted(tmp_path: Path) -> None:
    shared = runs(tmp_path, budget_bytes=15)
    shared.write("a", b"0123456789")
    lock_of_a_dead_process(tmp_path / "a" / LOCK_FILE)
    shared.write("b", b"0123456789")
    assert shared.read("a") is None
