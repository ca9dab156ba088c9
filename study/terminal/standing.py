"""How far a running study is, from its events alone: what a display shows, and when it will end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from study.configuration.loading import StudyConfig
from study.terminal.front_plot import Network, front_of

PHASES = {
    "training_dense_run": "training the dense network",
    "scanning_layers": "scanning how much each layer can take",
    "search_started": "searching",
    "study_finished": "search over",
    "study_interrupted": "interrupted",
}
"""Events of a study that say what it does now."""

WITHIN = 0.01
"""Accuracy below that of the dense network at which a network is still as good."""


class Standing:
    """Takes note of events, and says what they come to.

    Parameters
    ----------
    config
        The study.
    started_s
        When it began, on any clock; later times are on the same one.
    """

    def __init__(self, config: StudyConfig, started_s: float) -> None:
        self.phase = "starting Ray"
        self.running: dict[str, Mapping[str, Any]] = {}
        self.networks: list[Network] = []
        self._front: list[Network] = []
        self._name, self._trials = config.study.name, config.study.num_samples
        self._time_budget_s = config.study.time_budget_s or math.inf
        self._workers = 0
        self._ended: set[str] = set()
        self._failed: set[str] = set()
        self._stopped: set[str] = set()
        self._extended: set[str] = set()
        self._dense_accuracy = math.nan
        self._best: Network | None = None
        self._started_s = self._search_started_s = started_s
        self._first_round_s = math.nan

    def note(self, event: str, trial_id: str, result: Mapping[str, Any], now_s: float) -> None:
        """Take note of an event, of a trial or of the study itself."""
        if event in PHASES:
            self.phase = PHASES[event]
            if event == "search_started":
                self._search_started_s = now_s
                self._workers = result.get("workers", 0)
        elif event == "trial_started":
            self.running[trial_id] = {}
            if trial_id in self._ended:
                self._extended.add(trial_id)
        elif event == "round_finished":
            self.running[trial_id] = result
            if math.isnan(self._first_round_s):
                self._first_round_s = now_s
            self._note_round(result)
        elif event.startswith("trial_"):
            self.running.pop(trial_id, None)
            self._ended.add(trial_id)
            if event == "trial_errored":
                self._failed.add(trial_id)
            elif event == "trial_stopped":
                self._stopped.add(trial_id)

    def lines(self, now_s: float) -> list[str]:
        """What to tell: what goes on, how far it is, what was found."""
        doing = [self.phase, duration(now_s - self._started_s)]
        left_s = self.seconds_left(now_s)
        if left_s is not None:
            doing.append(f"about {duration(left_s)} to go")
        if not (self._ended or self.running or self.networks):
            return [f"{self._name}: {' · '.join(doing)}"]
        counts = [f"{len(self._ended)}/{self._trials} trials"]
        for which, what in (
            (self._failed, "failed"),
            (self._stopped, "stopped early"),
            (self._extended, "extended"),
        ):
            if which:
                counts.append(f"{len(which)} {what}")
        if self.running:
            busy = len(self.running)
            counts.append(f"{busy} of {max(busy, self._workers)} workers busy")
        found = []
        if self.networks:
            found.append(f"{len(self.networks)} networks, {len(self._front)} on the front")
        if self._best is not None:
            density, accuracy = self._best
            found.append(f"within 1 point of dense: density {density:.3g} at {accuracy:.1%}")
        told = (" · ".join(parts) for parts in (doing, counts, found) if parts)
        first, *others = told
        return [f"{self._name}: {first}", *others]

    def seconds_left(self, now_s: float) -> float | None:
        """How long the search will take still; None where there is nothing to tell it from.

        Trials are expected to go on at the pace since the first round, which leaves out how long
        workers took to start; of those that run, the rounds they have finished count.
        """
        if self.phase != PHASES["search_started"]:
            return None
        going = (
            result["round"] / result["rounds_planned"]
            for trial_id, result in self.running.items()
            if result and trial_id not in self._ended
        )
        done, budget_s = len(self._ended) + sum(going), self._time_budget_s
        left_s = max(0.0, self._search_started_s + budget_s - now_s)
        if done > 0:
            left_s = min(
                left_s, (now_s - self._first_round_s) / done * max(0.0, self._trials - done)
            )
        return left_s if math.isfinite(left_s) else None

    def _note_round(self, result: Mapping[str, Any]) -> None:
        if result["round"] == 0:
            self._dense_accuracy = result["val_accuracy"]
            return
        network = (result["density"], result["val_accuracy"])
        self.networks.append(network)
        self._front = front_of([*self._front, network])
        good = network[1] >= self._dense_accuracy - WITHIN
        if good and (self._best is None or network[0] < self._best[0]):
            self._best = network


def duration(seconds: float) -> str:
    """A duration in the two units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
