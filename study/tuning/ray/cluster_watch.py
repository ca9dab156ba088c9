"""Notices that Ray has lost its last machine, for which Tune would wait for ever."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.tune import Callback

LOOK_S = 2.0

PATIENCE_S = 10.0
"""Without any machine for so long, none will come back: the cluster's head is gone."""


class ClusterWatch(Callback):
    """Raises once no machine of the cluster has been alive for a while."""

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
            If there has been none for :data:`PATIENCE_S`.
        """
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_S
        if any(node["Alive"] for node in ray.nodes()):
            self._alive_at = now
        elif now - self._alive_at > PATIENCE_S:
            raise ConnectionError("Ray has lost its last machine: its raylet was ended")
