"""A study whose worker, driver and raylet are killed comes to what it comes to left alone."""

import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import study
from benchmarks.chaos.comparing import finished_rounds, records, told
from benchmarks.chaos.killing import Life, begin
from study.configuration.loading import load_config, to_toml
from tests.conftest import SMALL, call

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 3, "seed": 3},
    "task": {**SMALL["task"], "batch_size": 8},
    "space": {"rounds": 3, "retrain_epochs": 2, "rewind_epoch": [0, 1]},
    "resources": {"max_concurrent": 1, "max_failures": 9, "checkpoint_interval_s": 0.05},
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


def assert_dead(folder: Path) -> None:
    """It is said of a study whose driver is gone, and that it can go on."""
    told = call("status", str(folder), "--format", "json")
    assert json.loads(told.output)["state"] == "dead"
    again = call("status", str(folder))
    assert "is gone" in again.output
    assert f"prune-study resume {folder}" in again.output
    refused = call("run", "digits-mlp", "--name", "s", "--storage-path", str(folder.parent))
    assert refused.exit_code == 2
    assert f"its run died. Go on with it: prune-study resume {folder}" in refused.output


@pytest.mark.slow
def test_nothing_is_lost_or_run_again_whoever_is_killed(
    whole: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two lives have a Ray of their own, and are killed; the last one joins that of the tests."""
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
    wait(first, lambda: len(finished()) >= 1)
    assert first.kill("worker", lambda found: found[0])  # within a round
    held = finished()
    wait(first, lambda: len(finished()) > len(held))
    assert held.items() <= finished().items()
    assert first.kill("driver", lambda found: found[0])  # between rounds
    first.process.wait()
    assert first.left_behind() == []
    seen = finished()
    assert_dead(folder)
    folder = folder.rename(tmp_path / "t")

    second = life("resume", "t")
    wait(second, lambda: len(finished()) > len(seen))
    assert seen.items() <= finished().items()
    assert second.kill("raylet", lambda found: found[0])
    seen = finished()
    assert second.process.wait(timeout=LONGEST_S) == 1
    assert second.left_behind() == []
    assert last_event(folder)["event"] == "study_failed"
    assert "raylet has ended" in last_event(folder)["detail"]["why"]

    last = call("resume", str(folder), "--no-report", "--quiet")
    assert last.exit_code == 0, last.output
    assert seen.items() <= finished().items()
    assert records(folder) == records(whole)
    assert told(folder) == told(whole)
    assert told(folder)[1] == 0
    assert tomllib.loads((folder / "study.toml").read_text())["study"]["name"] == "t"
