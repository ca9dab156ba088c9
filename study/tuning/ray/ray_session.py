"""Ray, started or joined, and what of it a trial needs."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
import ray
from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.tuning.ray.cluster_watch import leave_a_dead_ray_alone
from study.tuning.ray.lost_workers import fail_one_trial_of_a_lost_worker, go_on_after_lost_nodes
from study.tuning.ray.own_modules import runtime_env
from study.tuning.ray.reaching import cluster_address, not_started, refuse_unreachable
from study.tuning.ray.search_order import OwnFoldersLast

ASK_AGAIN_S = 1.0
"""After this time the size of the cluster may be another."""


_ONE_AT_A_TIME = threading.RLock()
"""Held by the study that uses Ray: a process has one Ray, and Tune's settings are the process's."""


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray: the one that runs already, the cluster at RAY_ADDRESS, or a new one on this machine.

    Of several studies in threads of a process, one waits for the other.

    Raises
    ------
    UsageError
        If there is no cluster at RAY_ADDRESS, or Ray does not start; what to do is said.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the study folder has it all
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # an interrupt is ours to record
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # a task's own files stay where its user has them
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # Of a Ray that is started here: on a machine that is busy, or was asleep, its server would take
    # the one node for dead after a few missed heartbeats. Its process is looked at instead.
    os.environ.setdefault("RAY_health_check_failure_threshold", "100")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A failed trial is a record with its traceback, not a page on the terminal.
    logger, level = logging.getLogger("ray.tune"), logging.getLogger("ray.tune").level
    logger.setLevel(logging.CRITICAL)
    fail_one_trial_of_a_lost_worker()
    go_on_after_lost_nodes()
    leave_a_dead_ray_alone()
    with _ONE_AT_A_TIME:
        ours = not ray.is_initialized()
        if ours:
            _start()
        try:
            yield
        finally:
            logger.setLevel(level)
            if ours:
                ray.shutdown()


def _start() -> None:
    refuse_unreachable()
    try:
        with _own_signals():
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                runtime_env=runtime_env(),
                job_config=OwnFoldersLast(),
            )
    except Exception as error:
        ray.shutdown()
        raise not_started(error) from error
    except BaseException:  # a signal, while Ray was starting: what of it has started, ends
        ray.shutdown()
        raise


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray ends a driver on SIGTERM without a word, from its start on; what to do, we decide.

    Its handler is not put in place at all: until it were taken away again, a signal would meet it.
    That of its C++ code, which prints a trace and aborts, is put in place behind Python's back, and
    Python's own is put there again.
    """
    utils: Any = ray._private.utils
    place = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = place
        ours = signal.getsignal(signal.SIGTERM)
        if ours is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)


def trial_resources(config: StudyConfig) -> dict[str, float]:
    """CPUs and GPUs of a trial.

    Raises
    ------
    UsageError
        If no single node has as many, so that no trial could ever start.
    """
    return _needs_on(config, [*_nodes(), *_nodes_that_may_come()])


def refuse_too_small(config: StudyConfig) -> None:
    """Make sure that a trial fits where the study would run, and begin nothing.

    A cluster, at RAY_ADDRESS or joined already, is asked; without one it is this machine that Ray
    would be started on, and it is not started for this.

    Raises
    ------
    UsageError
        If no node has as much as a trial takes, or the cluster does not answer.
    """
    if ray.is_initialized() or cluster_address() is not None:
        with ray_session():
            trial_resources(config)
        return
    here = ResourceAndLabelSpec().resolve(is_head=True)
    _needs_on(config, [{"CPU": here.num_cpus or 0, "GPU": here.num_gpus or 0}])


def _needs_on(config: StudyConfig, nodes: list[dict[str, float]]) -> dict[str, float]:
    resources = config.resources
    needs = {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
    if any(_fitting(config, node) for node in nodes):
        return needs
    largest = " and ".join(
        f"{amount:g} {name.upper()}{'' if amount == 1 else 's'}" for name, amount in needs.items()
    )
    there = "; ".join(
        f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes[:8]
    )
    raise UsageError(
        f"resources.cpus_per_trial is {needs['cpu']:g} and resources.gpus_per_trial "
        f"{needs['gpu']:g}: no node of the cluster has {largest}, so no trial could start. Its "
        f"nodes have: {there}{'; ...' if len(nodes) > 8 else ''}."
    )


def _nodes() -> list[dict[str, float]]:
    """Resources of each node that is alive: a trial runs on one, and cannot be cut in two."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _nodes_that_may_come() -> list[dict[str, float]]:
    """Resources of the kinds of nodes that a cluster starts when they are wanted."""
    asked = getattr(ray._private.state.state, "get_cluster_config", None)
    found = asked() if asked is not None else None
    groups = [] if found is None else found.node_group_configs
    return [dict(group.resources) for group in groups if group.max_count != 0]


def _fitting(config: StudyConfig, node: Mapping[str, float]) -> int:
    """Trials that fit on a node at a time."""
    needs = {"CPU": config.resources.cpus_per_trial, "GPU": config.resources.gpus_per_trial}
    # Ray counts in ten-thousandths: 0.3 CPUs hold three of 0.1, whatever floats say.
    return min(
        round(node.get(name, 0) * 10_000) // max(round(amount * 10_000), 1)
        for name, amount in needs.items()
        if amount
    )


def room_for_trials(workers: int, max_concurrent: int | None) -> int:
    """How many trials may be under way: as many as run at a time, and a few that wait.

    Tune keeps a worker whose trial ended only for a trial that waits, and ends it otherwise; a new
    one has all its imports before it. But those that wait were drawn with what was known then, so
    there are few: one for eight workers. A number that the user gave is kept to.
    """
    return workers if max_concurrent is not None else workers + math.ceil(workers / 8)


def asked_now_and_then(ask: Callable[[], int]) -> Callable[[], int]:
    """The same number for a second: asking the cluster costs milliseconds, and Tune asks often."""
    asked_at, answer = -math.inf, 0

    def now() -> int:
        nonlocal asked_at, answer
        if time.monotonic() - asked_at > ASK_AGAIN_S:
            asked_at, answer = time.monotonic(), ask()
        return answer

    return now


def worker_count(config: StudyConfig) -> int:
    """Trials that can run at a time on the cluster as it is now, one at least."""
    fit = sum(_fitting(config, node) for node in _nodes())
    return max(1, min(fit, config.resources.max_concurrent or fit))
