"""A worker that is lost fails its trial alone; where its node is lost, the trial goes on elsewhere.

Tune knows of two kinds of errors, and ends the whole run on any other. And it counts a lost node (a
spot instance that was taken back, a machine that was switched off) as a failure of the trials on
it, unless the node was told of it first. A trial that raises, or whose process is killed on a node
that lives, has failed.
"""

from __future__ import annotations

from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

MOST_LOST = 20
"""Nodes that one trial may lose: it may be the trial that brings them down."""


def fail_one_trial_of_a_lost_worker() -> None:
    """Let every way in which Ray loses a worker (out of memory, say) fail its trial alone.

    Tune has no setting for that, so one of its methods is replaced, once a process.
    """
    failed = RayActorManager._actor_task_failed
    if getattr(failed, "knows_all", False):
        return

    def actor_task_failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayTaskError):
            exception = exception if isinstance(exception, RayActorError) else _lost(exception)
        failed(self, tracked_actor_task, exception)

    actor_task_failed.knows_all = True  # type: ignore[attr-defined]
    RayActorManager._actor_task_failed = actor_task_failed  # type: ignore[method-assign]


def _lost(exception: Exception) -> RayActorError:
    return RayActorError(error_msg=f"{type(exception).__name__}: {exception}")


def go_on_after_lost_nodes() -> None:
    """Have Tune begin a trial again, from its last checkpoint, when its node is gone.

    It has no setting for that, so one of its methods is replaced, once a process.
    """
    controller: Any = TuneController
    process = controller._process_trial_failure
    if getattr(process, "knows_lost_nodes", False):
        return

    def process_trial_failure(self: Any, trial: Trial, exception: Exception) -> None:
        if is_lost_node(exception) and _count(trial) <= MOST_LOST:
            if trial.status == Trial.PENDING:  # its worker had just been another trial's
                self._set_trial_status(trial, Trial.RUNNING)
            trial.run_metadata.num_failures -= 1  # Tune adds it again
        process(self, trial, exception)

    process_trial_failure.knows_lost_nodes = True  # type: ignore[attr-defined]
    controller._process_trial_failure = process_trial_failure


def is_lost_node(exception: Exception) -> bool:
    """Whether a worker is gone because its node is, or cannot be reached.

    Of a process that ended on a node that lives, Ray knows within a second how; a worker that
    is gone without anybody knowing how is on a node of which nothing is heard any more.
    """
    if not isinstance(exception, RayActorError) or exception.preempted:
        return False  # a node that was taken back after a warning counts for nothing anyway
    unreachable = isinstance(exception, ActorUnavailableError)
    return unreachable or any(word in str(exception) for word in _OF_NODES)


_OF_NODES = ("because its node has died", "the actor's node was terminated")
"""What Ray writes of actors whose node is gone."""


def _count(trial: Any) -> int:
    trial.nodes_lost = getattr(trial, "nodes_lost", 0) + 1
    return int(trial.nodes_lost)
