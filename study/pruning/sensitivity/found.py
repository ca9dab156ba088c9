"""What a scan is asked for and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True)
class ScannedLayer:
    """What a scan found of one layer, and what that alone cost.

    Parameters
    ----------
    layer
        Its name, or of what goes with it.
    records
        By level.
    evaluated
        Passes over the validation split.
    trained
        Examples of recovery.
    """

    layer: str
    records: tuple[SensitivityRecord, ...]
    evaluated: int
    trained: int


def together(layers: Sequence[ScannedLayer], examples: int, looked_at: int = 0) -> Scan:
    """A scan of its layers.

    Parameters
    ----------
    layers
        What was found of each.
    examples
        Of the validation split, which the whole network was evaluated on once.
    looked_at
        Examples that a saliency looked at.
    """
    evaluated = 1 + sum(each.evaluated for each in layers)
    trained = looked_at + sum(each.trained for each in layers)
    records = tuple(record for each in layers for record in each.records)
    return Scan(records, trained + round(FORWARD_SHARE * evaluated * examples))


class Watcher(Protocol):
    """Keeps what a scan has finished, and knows what an earlier attempt at the same scan had."""

    def known(self, layer: str) -> ScannedLayer | None:
        """A layer that need not be scanned again."""

    def level_tried(self) -> None:
        """May raise, to end the scan; of the layer under way nothing is kept."""

    def layer_scanned(self, found: ScannedLayer) -> None:
        """A layer is finished."""


class Unwatched:
    """Knows nothing and keeps nothing."""

    def known(self, layer: str) -> ScannedLayer | None:
        """None."""
        return None

    def level_tried(self) -> None:
        """Go on."""

    def layer_scanned(self, found: ScannedLayer) -> None:
        """Go on."""


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
