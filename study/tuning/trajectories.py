"""Dense runs that trials share: each is trained once and kept under a hash of what decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import torch

from study.pruning.seeds import Seeds
from study.pruning.state_files import trajectory_from_bytes, trajectory_to_bytes
from study.pruning.trajectory import Trajectory, build_model, train_dense
from study.records import TRAJECTORIES_DIR, TRAJECTORY_FILE
from study.storage import Folder
from study.tasks.task import Task
from study.tuning.shared_runs import SharedRuns

FINGERPRINT_EXAMPLES = 16


def trajectory_hash(task_arguments: Mapping[str, Any], task: Task, seeds: Seeds) -> str:
    """Name of a dense run: a hash of the settings that its states depend on.

    Parameters
    ----------
    task_arguments
        What the task was loaded with.
    task
        The task: its resolved recipe counts, so that a changed default is another run.
    seeds
        Of the initial weights and the data order; that of the masks has no say.
    """
    settings = {
        "task": {key: value for key, value in task_arguments.items() if key != "recipe"},
        "recipe": task.recipe.model_dump(mode="json", exclude={"device"}),
        "device": task.device.type,
        "init_seed": seeds.init,
        "data_seed": seeds.data,
        "content": task_fingerprint(task, seeds.init),
    }
    canonical = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@lru_cache(maxsize=16)
def task_fingerprint(task: Task, init_seed: int) -> str:
    """A hash of what a task's settings only name: its training data, and its model at the start.

    The model counts by its initial weights and by what it makes of a few examples, so that
    another layout, another activation or another loss is another task.
    """
    split, digest = task.data.train, hashlib.sha256()
    model = build_model(task, init_seed).eval()
    few = slice(0, FINGERPRINT_EXAMPLES)
    with torch.inference_mode():
        outputs = model(split.inputs[few])
        loss = task.loss(outputs, split.targets[few])
    weights = model.state_dict()
    parts = [split.inputs, split.targets, *(weights[name] for name in sorted(weights)), outputs]
    for part in (*parts, loss):
        digest.update(repr((tuple(part.shape), part.dtype)).encode())
        digest.update(part.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update("\x1f".join(sorted(weights)).encode())
    return digest.hexdigest()[:16]


def stored_trajectory(study: Folder, name: str) -> Trajectory | None:
    """Read a dense run from a study folder; None where it was not trained yet."""
    if not study.exists(TRAJECTORIES_DIR, name, TRAJECTORY_FILE):
        return None
    return trajectory_from_bytes(study.read(TRAJECTORIES_DIR, name, TRAJECTORY_FILE))


def ensure_trajectory(
    study: Folder,
    name: str,
    task: Task,
    seeds: Seeds,
    rewind_epochs: Iterable[float],
    shared: SharedRuns | None = None,
) -> Trajectory:
    """Train what a stored dense run lacks of these states, and keep it.

    Parameters
    ----------
    study
        The study that needs it.
    name
        Its hash, see :func:`trajectory_hash`.
    task, seeds, rewind_epochs
        What is trained, and which states are needed beside the first and the last.
    shared
        Where other studies may have it, and where it is kept for them.
    """
    with nullcontext() if shared is None else shared.training(name):
        resume = stored_trajectory(study, name)
        if resume is None and shared is not None and (data := shared.read(name)) is not None:
            resume = trajectory_from_bytes(data)
        trajectory = train_dense(
            task,
            seeds,
            rewind_epochs,
            resume=resume,
            checkpoint=lambda so_far: study.write(
                trajectory_to_bytes(so_far), TRAJECTORIES_DIR, name, TRAJECTORY_FILE
            ),
        )
        data = trajectory_to_bytes(trajectory)
        study.write(data, TRAJECTORIES_DIR, name, TRAJECTORY_FILE)
        if shared is not None and (resume is None or set(resume.states) != set(trajectory.states)):
            shared.write(name, data)
    return trajectory
