"""Nodes of a Ray cluster that is just coming up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import ray
from ray.autoscaler.sdk import request_resources

POLL_S = 0.5


def wait_for_nodes(wanted: int, limit_s: float, say: Callable[[str], None]) -> int:
    """Wait until the cluster that this process has joined has so many nodes.

    A study takes up nodes that come later; but it is rehearsed on those that are there when it
    begins.

    Parameters
    ----------
    wanted
        Nodes, the head among them.
    limit_s
        Seconds after which the study begins on those that are there.
    say
        Told if some are missing then.

    Returns
    -------
    int
        Nodes that are there.
    """
    until = time.monotonic() + limit_s
    while (there := _alive()) < wanted and time.monotonic() < until:
        time.sleep(POLL_S)
    if there < wanted:
        say(
            f"{there} of {wanted} nodes are up after {limit_s:g} s; the study begins on them, and "
            "takes up the others when they come"
        )
    return there


def ask_for_room(trials: int, needs: Mapping[str, float]) -> None:
    """Ask the autoscaler of the cluster for room for so many trials at a time.

    Tune tells it only of the few trials that wait: the cluster would grow by a node or two at a
    time. The request lasts as long as the cluster, or until the next one.

    Parameters
    ----------
    trials
        Trials at a time; 0 takes the request back.
    needs
        What one of them takes, by the names of Ray: ``CPU``, ``GPU``.
    """
    bundle = {kind: amount for kind, amount in needs.items() if amount}
    request_resources(bundles=[bundle] * trials)


def _alive() -> int:
    return sum(1 for node in ray.nodes() if node["Alive"])
