"""Whether a further round of an ended trial is worth more than a new trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import moocore
import numpy as np

from search_spaces import Layer, SearchSpace
from study.objectives import Direction
from study.pruning.plan import PruningPlan
from study.records import MetricRecord
from study.tuning.early_stopping.foresight import coming_costs
from study.tuning.early_stopping.history import History, Yardstick
from study.volume import FLOOR_DENSITY, Volume, volume_for

RECENT_TRIALS = 8
"""Trials whose gain says what a new one may bring."""


@dataclass(frozen=True)
class Candidate:
    """A trial that ended on the front, with one round more."""

    trial_id: str
    plan: PruningPlan
    rate: float


class Extensions:
    """Compares one more round of the trials that ended on the front with a new trial.

    Both are rated by hypervolume gained for each example trained on. A new trial is expected to
    gain what the last few did. A further round is expected to cost in quality what rounds of
    front trials did before it (the median), at the density that its plan would have. The
    hypervolume is that of :func:`study.volume.volume_for`, from the first dense run on.

    Parameters
    ----------
    yardstick
        How rounds are compared.
    space
        An extended plan must be one of the space's own.
    layers
        The network's prunable layers.
    metrics
        Of the task.
    floor_density
        The smallest density that the space holds.
    """

    def __init__(
        self,
        yardstick: Yardstick,
        space: SearchSpace,
        layers: Sequence[Layer],
        metrics: Sequence[MetricRecord],
        floor_density: float = FLOOR_DENSITY,
    ) -> None:
        self._history = History(yardstick)
        self._metrics = tuple(metrics)
        self._floor_density = floor_density
        self._volume: Volume | None = None  # before a dense run has ended
        self._space = space
        self._layers = list(layers)
        self._ended: dict[str, PruningPlan] = {}
        self._rates: list[float] = []
        self._front: list[list[float]] = []  # in the columns of the yardstick

    def trial_ended(
        self, trial_id: str, plan: PruningPlan, results: Sequence[Mapping[str, Any]]
    ) -> None:
        """Take note of a trial that ran to its plan's end, with the results that are new.

        Without any, which happens where the driver was restored meanwhile, nothing is learned.
        """
        if not results:
            return
        samples = results[-1]["train_samples"] - results[0]["train_samples"]
        for result in results:
            self._history.add(trial_id, result)
        if self._volume is None and results[0]["round"] == 0:
            self._volume = self._volume_from(results[0])
        counting = [r for r in results if self._history.yardstick.counts(r)]
        gained = self._advance([self._point(result) for result in counting])
        if results[0]["round"] == 0 and samples > 0:
            self._rates.append(gained / samples)
        self._ended[trial_id] = plan

    def _volume_from(self, dense: Mapping[str, Any]) -> Volume | None:
        """What is gained is measured from this dense network; None if it has no figures."""
        yardstick = self._history.yardstick
        if not np.isfinite(self._point(dense)).all():
            return None
        ways: dict[str, Direction] = {yardstick.quality: "max" if yardstick.maximise else "min"}
        ways |= dict.fromkeys(yardstick.costs, "min")
        return volume_for(ways, self._metrics, dense, self._floor_density)

    def _advance(self, points: list[list[float]]) -> float:
        """Move the front on to these points too, and give the hypervolume gained."""
        before = self._hypervolume(self._front)
        self._front = [*self._front, *points]
        if self._volume is not None and self._front:
            costs = self._volume.costs(np.array(self._front))
            kept = np.flatnonzero(moocore.is_nondominated(costs))
            self._front = [self._front[place] for place in kept]
        return self._hypervolume(self._front) - before

    def take(self) -> Candidate | None:
        """The extension to run now, if one is expected to gain more than a new trial.

        It is not offered again before :meth:`trial_ended` was called for its end.
        """
        if len(self._rates) < RECENT_TRIALS:
            return None
        new = fmean(self._rates[-RECENT_TRIALS:])
        found = [c for trial_id, plan in self._ended.items() if (c := self._rate(trial_id, plan))]
        best = max(found, key=lambda candidate: candidate.rate, default=None)
        if best is None or best.rate <= new:
            return None
        del self._ended[best.trial_id]
        return best

    def _rate(self, trial_id: str, plan: PruningPlan) -> Candidate | None:
        results = self._history.of(trial_id)
        if len(results) < 2:
            return None
        last, before = results[-1], results[-2]
        if self._history.shortfall(trial_id, last) > 0 or not self._history.yardstick.counts(last):
            return None
        longer = plan.extended(plan.rounds + 1)
        if longer is None or not self._is_in_space(longer):
            return None
        costs = coming_costs(
            longer,
            longer.rounds,
            self._layers,
            last=last,
            epochs_a_round=last["train_epochs"] - before["train_epochs"],
            macs_exponent=1.0,
        )
        samples = last["train_samples"] - before["train_samples"]
        if costs is None or samples <= 0:
            return None
        worth = self._history.yardstick.worth(last) - self._usual_loss()
        yardstick = self._history.yardstick
        quality = worth if yardstick.maximise else -worth
        point = [quality, *(costs[column] for column in yardstick.costs)]
        gained = self._hypervolume([*self._front, point]) - self._hypervolume(self._front)
        return Candidate(trial_id, longer, gained / samples)

    def _is_in_space(self, plan: PruningPlan) -> bool:
        if self._space.function is not None:
            return False
        return self._space.parameters_of(plan.model_dump(), self._layers) is not None

    def _usual_loss(self) -> float:
        """What a last round of the trials so far cost in quality, against the one before."""
        worth = self._history.yardstick.worth
        losses = [
            worth(results[-2]) - worth(results[-1])
            for results in map(self._history.of, self._ended)
            if len(results) > 1
        ]
        return median(loss for loss in losses if math.isfinite(loss))

    def _point(self, result: Mapping[str, Any]) -> list[float]:
        yardstick = self._history.yardstick
        return [float(result[yardstick.quality]), *yardstick.price(result)]

    def _hypervolume(self, points: list[list[float]]) -> float:
        return self._volume.of(np.array(points)) if self._volume is not None and points else 0.0
