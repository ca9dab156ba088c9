"""Notices that Ray is gone, for which Tune would wait for ever, or Ray would end the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import ray
from ray.air.execution.resources.placement_group import PlacementGroupResourceManager
from ray.tune import Callback
from ray.tune.execution.tune_controller import TuneController

LOOK_S = 2.0

NEEDED = ("gcs_server", "raylet")
"""Processes of Ray that are never started again."""

PATIENCE_S = 10.0
"""Without any machine for so long, none will come back: the cluster's head is gone."""


class ClusterWatch(Callback):
    """Raises once a process that Ray cannot do without has ended, or no machine has been alive.

    Without its server, Ray answers nothing for a minute and then ends the driver's process, with
    no exception that could be recorded. So of a Ray that this process has started, its processes
    are looked at first, each time, before anything is asked that would not be answered.
    """

    def __init__(self) -> None:
        self._next = 0.0
        self._alive_at = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Look, now and then."""
        self.look()

    def look(self) -> None:
        """Look whether a machine is alive, if the last look is long enough ago.

        Raises
        ------
        ConnectionError
            If there has been none for :data:`PATIENCE_S`, or Ray's server or raylet, where this
            process started them, has ended.
        """
        gone = ended_processes()
        if gone:
            raise ConnectionError(f"Ray's {' and '.join(gone)} has ended, and Ray with it")
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_S
        if any(node["Alive"] for node in ray.nodes()):
            self._alive_at = now
        elif now - self._alive_at > PATIENCE_S:
            raise ConnectionError("Ray has lost its last machine: its raylet was ended")


def ended_processes() -> list[str]:
    """Names of what has ended of a Ray that this process started: its server, its raylet."""
    node: Any = ray._private.worker._global_node
    dead = [] if node is None else node.dead_processes()
    return [kind for kind, _ in dead if kind in NEEDED]


def leave_a_dead_ray_alone() -> None:
    """Have Tune not ask a Ray that is gone to give back its resources, once a run has failed.

    Ray would answer nothing, and end the process after a minute before its end is recorded. Tune
    has no setting for that, so two of its methods are replaced, once a process; the second is
    called once more when its object is collected, at whatever moment that is.
    """
    for owner, name in ((TuneController, "cleanup"), (PlacementGroupResourceManager, "clear")):
        method = getattr(owner, name)
        if not getattr(method, "knows_dead_rays", False):
            setattr(owner, name, _unless_ray_is_dead(method))


def _unless_ray_is_dead(method: Callable[..., None]) -> Callable[..., None]:
    @wraps(method)
    def asking(*arguments: Any) -> None:
        if not ended_processes():
            method(*arguments)

    asking.knows_dead_rays = True  # type: ignore[attr-defined]
    return asking
