"""A study whose driver, worker and raylet are killed comes to what it comes to left alone."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import study
from benchmarks.chaos.comparing import finished_rounds, records, told
from benchmarks.chaos.killing import Life, begin
from study.configuration.loading import load_config, to_toml
from tests.conftest import SMALL

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 3, "seed": 3},
    "task": {**SMALL["task"], "batch_size": 8},
    "space": {"rounds": [2, 3], "retrain_epochs": 2, "rewind_epoch": [0, 1]},
    "resources": {"max_concurrent": 1, "max_failures": 9, "checkpoint_interval_s": 0.01},
}

LONGEST_S = 300.0


@pytest.fixture(scope="module")
def whole(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(study.run(TABLES, storage_path=tmp_path_factory.mktemp("whole")))


def wait(life: Life, condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONGEST_S
    while not condition():
        assert not life.is_over, "the study ended before anything was killed"
        assert time.monotonic() < ends
        time.sleep(0.005)


def last_event(folder: Path) -> Any:
    return json.loads((folder / "events.jsonl").read_text().splitlines()[-1])


@pytest.mark.slow
def test_nothing_is_lost_or_run_again_whoever_is_killed(
    whole: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "study.toml").write_text(to_toml(load_config(TABLES)))
    folder, log = tmp_path / "s", tmp_path / "log.txt"

    def life(*command: str) -> Life:
        begun = begin([*command, "--no-report", "--quiet"], tmp_path, log)
        request.addfinalizer(begun.process.wait)
        request.addfinalizer(begun.process.kill)
        return begun

    def finished() -> dict[str, str]:
        return finished_rounds(folder)

    first = life("run", "study.toml", "--storage-path", ".")
    wait(first, lambda: len(finished()) >= 2)
    assert first.kill("driver", lambda found: found[0])  # between rounds
    first.process.wait()
    assert first.left_behind() == []
    seen = finished()

    second = life("resume", "s")
    wait(second, lambda: len(finished()) > len(seen))
    assert second.kill("worker", lambda found: found[0])  # within a round
    held = finished()
    wait(second, lambda: len(finished()) > len(held))
    assert seen.items() <= held.items() <= finished().items()
    seen = finished()
    assert second.kill("raylet", lambda found: found[0])
    assert second.process.wait(timeout=LONGEST_S) == 1
    assert second.left_behind() == []
    assert last_event(folder)["event"] == "study_failed"
    assert "raylet has ended" in last_event(folder)["detail"]["why"]

    third = life("resume", "s")
    assert third.process.wait(timeout=LONGEST_S) == 0, log.read_text()
    assert seen.items() <= finished().items()
    assert records(folder) == records(whole)
    assert told(folder) == told(whole)
    assert told(folder)[1] == 0
