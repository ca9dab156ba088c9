"""Rounds as scalars for TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

TENSORBOARD_DIR = "tensorboard"

SCALARS = (
    "val_accuracy", "val_loss", "density", "macs", "nonzero_parameters", "train_epochs", "wall_s",
)  # fmt: skip
"""Fields of a round's result; the step of each is its round."""


class TensorBoardWriter:
    """A listener that writes a run for each trial, for ``tensorboard --logdir NAME/tensorboard``.

    Parameters
    ----------
    path
        The study's folder on this machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / TENSORBOARD_DIR
        self._writers: dict[str, SummaryWriter] = {}

    def __call__(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        """Take note of an event."""
        if event == "round_finished":
            writer = self._writers.get(trial_id)
            if writer is None:
                writer = SummaryWriter(str(self._path / trial_id), write_to_disk=True)
                self._writers[trial_id] = writer
            for name in SCALARS:
                if math.isfinite(result[name]):
                    writer.add_scalar(name, result[name], result["round"])
            writer.flush()
        elif event.startswith("trial_") and event != "trial_started":
            writer = self._writers.pop(trial_id, None)
            if writer is not None:
                writer.close()
