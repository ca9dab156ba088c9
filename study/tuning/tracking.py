"""Rounds for other people's dashboards: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray.tune import Callback

from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.records import metrics_in
from study.storage import Folder

TENSORBOARD_DIR = "tensorboard"

SCALARS = (
    "density", "macs", "nonzero_parameters", "train_epochs", "wall_s",
)  # fmt: skip
"""Fields of a round's result beside its metrics; the step of each is its round."""


class TensorBoardWriter:
    """A listener that writes a run for each trial, for ``tensorboard --logdir NAME/tensorboard``.

    Parameters
    ----------
    path
        The study's folder on this machine.
    """

    def __init__(self, path: Path) -> None:
        from tensorboardX import SummaryWriter  # slow, and not for studies that want none

        self._new = SummaryWriter
        self._path = path / TENSORBOARD_DIR
        self._writers: dict[str, SummaryWriter] = {}

    def __call__(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        """Take note of an event."""
        if event == "round_finished":
            writer = self._writers.get(trial_id)
            if writer is None:
                writer = self._new(str(self._path / trial_id), write_to_disk=True)
                self._writers[trial_id] = writer
            for name in (*metrics_in(result), *SCALARS):
                if math.isfinite(result[name]):
                    writer.add_scalar(name, result[name], result["round"])
            writer.flush()
        elif event.startswith("trial_") and event != "trial_started":
            writer = self._writers.pop(trial_id, None)
            if writer is not None:
                writer.close()


def check_tracking(config: StudyConfig, folder: Folder) -> None:
    """Find out before a study begins whether it can be tracked as it asks.

    Raises
    ------
    UsageError
        If a package is missing, or TensorBoard's files cannot grow where the study is.
    """
    tracking = config.study.tracking
    if "tensorboard" in tracking and folder.local_path is None:
        raise UsageError(
            f"study.tracking: tensorboard needs a storage_path on this machine, not "
            f"{folder.location}"
        )
    for name in ("mlflow", "wandb"):
        if name in tracking and find_spec(name) is None:
            raise UsageError(
                f"study.tracking: {name} is not installed. Run: pip install 'prune-study[{name}]'"
            )


def ray_callbacks(config: StudyConfig) -> list[Callback]:
    """Ray's own callbacks for the trackers that have one.

    MLflow's server is the one at MLFLOW_TRACKING_URI, as ever; W&B takes its key from the
    environment, or runs offline with WANDB_MODE=offline.
    """
    callbacks: list[Callback] = []
    if "mlflow" in config.study.tracking:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        callbacks.append(
            MLflowLoggerCallback(
                tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
                experiment_name=config.study.name,
            )
        )
    if "wandb" in config.study.tracking:
        from ray.air.integrations.wandb import WandbLoggerCallback

        # Said here, because Ray's workers may have been started with another environment.
        callbacks.append(
            WandbLoggerCallback(
                project=config.study.name,
                mode=os.environ.get("WANDB_MODE"),
                dir=os.environ.get("WANDB_DIR"),
            )
        )
    return callbacks
