"""Dense runs that trials share: each is trained once and kept under a hash of what decides it."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace

import torch

from study.pruning.seeds import Seeds
from study.pruning.states.dense_runs import hash_of, stored_trajectory
from study.pruning.states.state_files import trajectory_from_bytes, trajectory_to_bytes
from study.pruning.training.fingerprint import fingerprint
from study.pruning.training.trajectory import (
    Trajectory,
    dense_steps,
    refuse_another,
    step_of_epoch,
    train_dense,
)
from study.records import TRAJECTORIES_DIR, TRAJECTORY_FILE
from study.storage import Folder
from study.tasks.task import Task
from study.tuning.dense_runs.shared_runs import SharedRuns
from study.tuning.ending import StopRequestedError, StopWatch

CHECKPOINT_INTERVAL_S = 30.0
"""Least time between two checkpoints of a dense run: short runs write none."""


def environment_hash(task: Task) -> str:
    """Of what else the last bits of a dense run depend on; runs are shared only among equals."""
    on_cpu = task.device.type == "cpu"
    processor = (
        (platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
        if on_cpu
        else torch.cuda.get_device_name(task.device)
    )
    return hash_of({"torch": torch.__version__, "processor": processor})[:8]


def ensure_trajectory(
    study: Folder,
    name: str,
    task: Task,
    seeds: Seeds,
    rewind_epochs: Iterable[float],
    shared: SharedRuns | None = None,
    stop: StopWatch | None = None,
) -> Trajectory:
    """Train what a stored dense run lacks of these states, and keep it.

    Parameters
    ----------
    study
        The study that needs it.
    name
        Of the dense run, see :func:`study.pruning.states.dense_runs.trajectory_name`.
    task, seeds, rewind_epochs
        What is trained, and which states are needed beside the first and the last.
    shared
        Where other studies may have it, and where it is kept for them.
    stop
        Says when to keep what was trained, and stop; None: never.

    Returns
    -------
    Trajectory
        With these states, and all that were kept before.
    """
    rewind_epochs = list(rewind_epochs)
    last = dense_steps(task)
    wanted = {0, last, *(step_of_epoch(task, epoch) for epoch in rewind_epochs)}
    own = stored_trajectory(study, name)
    if own is not None and wanted <= own.states.keys():
        refuse_another(own.origin, fingerprint(task, seeds))
        return own
    shared_name = f"{name}-{environment_hash(task)}"
    with nullcontext() if shared is None else shared.training(shared_name):
        others = None if shared is None else shared.read(shared_name)
        found = _together(last, own, None if others is None else trajectory_from_bytes(others))
        writer = _Checkpoints(study, name, shared, shared_name, stop)
        trajectory = train_dense(task, seeds, rewind_epochs, found, writer.checkpoint)
        if found is not None and last in found.states:
            trajectory = replace(trajectory, states={**found.states, **trajectory.states})
        data = trajectory_to_bytes(trajectory)
        study.write(data, TRAJECTORIES_DIR, name, TRAJECTORY_FILE)
        known = set() if others is None or found is None else set(found.states)
        if shared is not None and not trajectory.states.keys() <= known:
            shared.write(shared_name, data)
    return trajectory


def _together(last: int, first: Trajectory | None, second: Trajectory | None) -> Trajectory | None:
    """Two runs of the same thing as one, or the one that got further."""
    if first is None or second is None:
        return first or second
    if last in first.states and last in second.states:
        return replace(first, states={**second.states, **first.states})
    return max(first, second, key=lambda run: max(run.states))


class _Checkpoints:
    """Keeps a dense run under way where it can go on: with the others, if it is shared."""

    def __init__(
        self,
        study: Folder,
        name: str,
        shared: SharedRuns | None,
        shared_name: str,
        stop: StopWatch | None,
    ) -> None:
        self._study, self._name, self._stop = study, name, stop
        self._shared, self._shared_name = shared, shared_name
        self._last = time.monotonic()

    def checkpoint(self, so_far: Trajectory) -> None:
        stops = self._stop is not None and self._stop.is_asked()
        if not stops and time.monotonic() - self._last < CHECKPOINT_INTERVAL_S:
            return
        data = trajectory_to_bytes(so_far)
        if self._shared is None:
            self._study.write(data, TRAJECTORIES_DIR, self._name, TRAJECTORY_FILE)
        else:
            self._shared.write(self._shared_name, data)
        self._last = time.monotonic()
        if stops:
            raise StopRequestedError
