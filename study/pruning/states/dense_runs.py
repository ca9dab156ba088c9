"""Dense runs as a study folder keeps them: by which names, and how they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from study.files.documents import read_tensors, refused
from study.pruning.seeds import Seeds
from study.pruning.states.state_files import trajectory_from_bytes
from study.pruning.training.trajectory import Trajectory
from study.records import TRAJECTORIES_DIR, TRAJECTORY_FILE
from study.storage import Folder


def trajectory_name(key: str, seeds: Seeds) -> str:
    """Name of a dense run.

    Parameters
    ----------
    key
        Of the task, see :func:`study.tuning.identity.keys.task_key`: found once a study, and
        from then on read from its record.
    seeds
        Of the initial weights and the data order; that of the masks has no say.
    """
    return hash_of({"task": key, "init": seeds.init, "data": seeds.data})


def stored_trajectory(study: Folder, name: str) -> Trajectory | None:
    """Read a dense run from a study folder; None where it was not trained yet.

    Raises
    ------
    UsageError
        If its file is damaged; it names the file.
    """
    place = (TRAJECTORIES_DIR, name, TRAJECTORY_FILE)
    if not study.exists(*place):
        return None
    with refused(study, *place):
        return trajectory_from_bytes(read_tensors(study, *place))


def hash_of(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over what decides something."""
    canonical = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
