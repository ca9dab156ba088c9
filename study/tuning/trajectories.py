"""Dense runs that trials share: each is trained once and kept under a hash of what decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from study.pruning.seeds import Seeds
from study.pruning.state_files import trajectory_from_bytes, trajectory_to_bytes
from study.pruning.trajectory import Trajectory, train_dense
from study.records import TRAJECTORIES_DIR, TRAJECTORY_FILE
from study.storage import Folder
from study.tasks.task import Task


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
        "examples": len(task.data.train),
    }
    canonical = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def stored_trajectory(study: Folder, name: str) -> Trajectory | None:
    """Read a dense run from a study folder; None where it was not trained yet."""
    if not study.exists(TRAJECTORIES_DIR, name, TRAJECTORY_FILE):
        return None
    return trajectory_from_bytes(study.read(TRAJECTORIES_DIR, name, TRAJECTORY_FILE))


def ensure_trajectory(
    study: Folder, name: str, task: Task, seeds: Seeds, rewind_epochs: Iterable[float]
) -> Trajectory:
    """Train what a stored dense run lacks of these states, and keep it."""
    trajectory = train_dense(
        task,
        seeds,
        rewind_epochs,
        resume=stored_trajectory(study, name),
        checkpoint=lambda so_far: study.write(
            trajectory_to_bytes(so_far), TRAJECTORIES_DIR, name, TRAJECTORY_FILE
        ),
    )
    study.write(trajectory_to_bytes(trajectory), TRAJECTORIES_DIR, name, TRAJECTORY_FILE)
    return trajectory
