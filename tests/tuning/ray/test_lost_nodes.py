"""A trial whose node is lost goes on on another; one that fails by itself does not."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from study.tuning.ray import lost_nodes
from study.tuning.ray.lost_nodes import go_on_after_lost_nodes, is_lost_node
from tests.clusters.processes import alone

UNREACHABLE = ActorUnavailableError("RPC error", None)

CHANGES = (
    "study.num_samples=2", "space.rounds=2", "space.retrain_epochs=25", "space.rewind_epoch=1",
    'space.schedule="geometric"', "search.textbook=false", "search.warm_start=[]",
    'search.early_stopping="none"', "sensitivity.scan=false", "confirm.share=0",
    "report.controls=false", "task.epochs=3", "task.batch_size=16",
    "resources.checkpoint_interval_s=0.3",
)  # fmt: skip


@pytest.mark.parametrize(
    ("exception", "lost"),
    [
        (UNREACHABLE, True),
        (RayActorError(error_msg="The actor died because its node has died. Node Id: 1"), True),
        (RayActorError(error_msg="the actor's node was terminated unexpectedly: x"), True),
        (RayActorError(error_msg="worker process has died unexpectedly"), False),
        (RayActorError(error_msg="OutOfMemoryError"), False),
        (RayActorError(error_msg="its node has died", preempted=True), False),
        (RuntimeError("because its node has died"), False),
    ],
)
def test_a_process_that_ends_on_a_node_that_lives_has_failed(
    exception: Exception, lost: bool
) -> None:
    assert is_lost_node(exception) is lost


def test_a_trial_may_lose_a_number_of_nodes_and_not_its_own_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, int]] = []

    def tunes_own(self: Any, trial: Any, exception: Exception) -> None:
        trial.run_metadata.num_failures += 1
        seen.append((trial.status, trial.run_metadata.num_failures))

    monkeypatch.setattr(TuneController, "_process_trial_failure", tunes_own)
    monkeypatch.setattr(lost_nodes, "MOST_LOST", 2)
    go_on_after_lost_nodes()
    go_on_after_lost_nodes()  # once is enough
    trial = SimpleNamespace(status=Trial.PENDING, run_metadata=SimpleNamespace(num_failures=0))
    controller = SimpleNamespace(
        _set_trial_status=lambda trial, status: setattr(trial, "status", status)
    )
    for exception in (UNREACHABLE, RuntimeError("its own"), UNREACHABLE, UNREACHABLE):
        TuneController._process_trial_failure(controller, trial, exception)
    assert seen == [(Trial.RUNNING, failures) for failures in (0, 1, 1, 2)]


def test_two_nodes_get_the_users_modules_and_go_on_when_one_is_switched_off(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "two"
    command = [
        sys.executable, "-m", "study.cli", "run", "digits-mlp", "--name", "two",
        "--storage-path", str(tmp_path),
        *(word for change in CHANGES for word in ("--set", change)),
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "tests.tuning.ray.two_nodes", str(folder), *command],
        env=alone(), capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.startswith("a worker imported 7\n")
    assert "a node was switched off" in ended.stdout
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    starts = Counter(e["trial_id"] for e in events if e["event"] == "trial_started")
    assert sorted(starts.values()) == [1, 2]
    # None was told twice: it went on from its checkpoint, and did not begin again.
    told = Counter(
        (e["trial_id"], e["detail"]["round"]) for e in events if e["event"] == "round_finished"
    )
    assert told == {(trial, round_): 1 for trial in starts for round_ in range(3)}
    for trial in starts:
        lines = (folder / "trials" / trial / "rounds.jsonl").read_text().splitlines()
        assert [json.loads(line)["round"] for line in lines] == [0, 1, 2]
        outcome = json.loads((folder / "trials" / trial / "outcome.json").read_text())
        assert outcome["status"] == "completed"
