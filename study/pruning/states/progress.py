"""Where a pipeline stands, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from study.pruning.masking.masks import MaskedLayers
from study.pruning.measuring import Spent
from study.pruning.training.steps import Segment
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import Trajectory
from study.records import RoundRecord


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a pipeline stands: enough to go on from, bit for bit.

    Parameters
    ----------
    round
        The round whose training is under way or just finished; 0 is dense.
    segment
        The stretch of training of this round.
    steps_done
        Steps of it that were taken.
    state
        Weights, statistics, masks and optimizer.
    before
        The masked weights when the segment began, by layer.
    requested
        Sparsity asked of each layer in this round, where one was.
    trajectory
        The states of the dense run that later rounds may need.
    spent
        Cost of everything before this segment; its ``wall_s`` alone goes up to now.
    train_loss
        Mean loss of the last epoch of training; NaN while the segment is under way.
    measured
        Whether the round is over: its record was yielded.
    record
        The round's record as JSON, where it is over and somebody keeps it.
    """

    round: int
    segment: Segment
    steps_done: int
    state: TrainState
    before: Mapping[str, Tensor]
    requested: Mapping[str, float]
    trajectory: Trajectory
    spent: Spent
    train_loss: float = float("nan")
    measured: bool = False
    record: str | None = None


class Observer(Protocol):
    """Who wants to keep what a pipeline makes. Both calls are made while training waits."""

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        """Called after every epoch; calling ``progress`` makes a copy of the state."""

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        """Called when a round was measured, before its record is yielded."""
