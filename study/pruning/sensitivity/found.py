"""What a scan is asked for and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from study.errors import UsageError
from study.records import SensitivityRecord

FORWARD_SHARE = 1 / 3
"""What a forward example costs, as a share of a training example: the backward pass costs two."""

DEFAULT_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


@dataclass(frozen=True)
class Scan:
    """What a scan found and what it cost.

    Parameters
    ----------
    records
        By layer, then by level; none of a network whose figures are not finite.
    train_samples
        Examples of training that it is worth: those of recovery, those that a saliency of channels
        looked at, and of each example that was evaluated a third, which is the share of a forward
        pass in a training step.
    """

    records: tuple[SensitivityRecord, ...]
    train_samples: int


def check_levels(levels: Sequence[float]) -> None:
    """Refuse what is no sparsity.

    Raises
    ------
    UsageError
        If a level is not at least 0 and below 1.
    """
    for level in levels:
        if not 0 <= level < 1:
            raise UsageError(f"sensitivity.levels: {level} is not at least 0 and below 1")
