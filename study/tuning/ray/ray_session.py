"""Ray, started or joined, and what of it a trial needs."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError

from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.tuning.ray.lost_nodes import go_on_after_lost_nodes
from study.tuning.ray.own_modules import runtime_env

ASK_AGAIN_S = 1.0
"""After this time the size of the cluster may be another."""


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray: the one that runs already, the cluster at RAY_ADDRESS, or a new one on this machine."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the study folder has it all
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # an interrupt is ours to record
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # a task's own files stay where its user has them
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A failed trial is a record with its traceback, not a page on the terminal.
    logger, level = logging.getLogger("ray.tune"), logging.getLogger("ray.tune").level
    logger.setLevel(logging.CRITICAL)
    go_on_after_lost_nodes()
    ours = not ray.is_initialized()
    if ours:
        with _own_signals():
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                runtime_env=runtime_env(),
            )
    _survive_lost_workers()
    try:
        yield
    finally:
        logger.setLevel(level)
        if ours:
            ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray ends a driver on SIGTERM without a word; what the caller does about it, he decides."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _survive_lost_workers() -> None:
    """Let every way in which Ray loses a worker (out of memory, say) fail its trial alone.

    Tune knows of two kinds of errors, and ends the whole run on any other.
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


def trial_resources(config: StudyConfig) -> dict[str, float]:
    """CPUs and GPUs of a trial.

    Raises
    ------
    UsageError
        If the cluster has not as many, so that no trial could ever start.
    """
    needs = {"cpu": config.resources.cpus_per_trial, "gpu": config.resources.gpus_per_trial}
    available = ray.cluster_resources()
    for name, amount in needs.items():
        if amount > available.get(name.upper(), 0):
            raise UsageError(
                f"resources.{name}s_per_trial is {amount}, and the cluster has "
                f"{available.get(name.upper(), 0):g}; no trial could start."
            )
    return needs


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
    resources, available = config.resources, ray.cluster_resources()
    needs = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
    fit = min(int(available.get(name, 0) / amount) for name, amount in needs.items() if amount)
    return max(1, min(fit, resources.max_concurrent or fit))
