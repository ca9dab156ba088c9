"""A worker that is lost fails its trial; one whose node is lost is replaced on another."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from study.configuration.loading import load_config
from study.tuning.launching import run_study
from study.tuning.preparing import prepare
from study.tuning.ray import lost_workers
from study.tuning.ray.lost_workers import go_on_after_lost_nodes, is_lost_node
from tests.conftest import SMALL

UNREACHABLE = ActorUnavailableError("RPC error", None)


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
    monkeypatch.setattr(lost_workers, "MOST_LOST", 2)
    go_on_after_lost_nodes()
    go_on_after_lost_nodes()  # once is enough
    trial = SimpleNamespace(status=Trial.PENDING, run_metadata=SimpleNamespace(num_failures=0))
    controller = SimpleNamespace(
        _set_trial_status=lambda trial, status: setattr(trial, "status", status)
    )
    for exception in (UNREACHABLE, RuntimeError("its own"), UNREACHABLE, UNREACHABLE):
        TuneController._process_trial_failure(controller, trial, exception)
    assert seen == [(Trial.RUNNING, failures) for failures in (0, 1, 1, 2)]


@pytest.mark.slow
def test_a_worker_that_is_out_of_memory_fails_its_trial_and_not_the_study(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as Ray tells of it: its memory monitor looks at the whole machine's memory."""
    resolved, killed = RayActorManager._actor_task_resolved, list[bool]()

    def out_of_memory_once(self: Any, tracked_actor_task: Any, result: Any) -> None:
        if isinstance(result, dict) and result.get("round") == 1 and not killed:
            killed.append(True)
            error = OutOfMemoryError("Task was killed due to the node running low on memory.")
            self._actor_task_failed(tracked_actor_task, error)
        else:
            resolved(self, tracked_actor_task, result)

    monkeypatch.setattr(RayActorManager, "_actor_task_resolved", out_of_memory_once)
    space = {**SMALL["space"], "rounds": 2}
    tables = {**SMALL, "space": space, "study": {"name": "s", "num_samples": 2}}
    config = load_config(tables, [f"study.storage_path={json.dumps(str(tmp_path))}"])
    assert run_study(prepare(config), lambda *_: None).failed_trials == 1
    outcomes = [
        json.loads(path.read_text())
        for path in sorted((tmp_path / "s").glob("trials/*/outcome.json"))
    ]
    assert [each["status"] for each in outcomes] == ["errored", "completed"]
    assert "OutOfMemoryError: Task was killed" in outcomes[0]["error"]
    last = (tmp_path / "s" / "events.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "study_finished"
