"""How far a running study is, from its events alone: what a display shows, and when it will end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from study.configuration.loading import StudyConfig
from study.objectives import size_of
from study.records import SAMPLES_SPENT, MetricRecord, is_finite
from study.telling import is_tolerable, percent, size_text, tolerance_text
from study.terminal.front_plot import Network, compact
from study.tuning.search.spending import Spending

PHASES = {
    "training_dense_run": "training the dense network",
    "scanning_layers": "scanning how much each layer can take",
    "search_started": "searching",
    "study_finished": "search over",
    "study_interrupted": "interrupted",
    "study_failed": "failed",
}
"""Events of a study that say what it does now."""

WITHIN = 0.01
"""How much worse than the dense network is still as good; see :func:`is_tolerable`."""


class Standing:
    """Takes note of events, and says what they come to.

    Parameters
    ----------
    config
        The study, with its objectives.
    quality
        What its networks are judged by.
    started_s
        When it began, on any clock; later times are on the same one.
    """

    def __init__(self, config: StudyConfig, quality: MetricRecord, started_s: float) -> None:
        self.phase = "starting Ray"
        self.running: dict[str, Mapping[str, Any]] = {}
        self.networks: list[Network] = []
        self.quality, self.size = quality, size_of(config.objectives)
        self._objectives = config.objective_columns
        self._constraints = config.search.parsed_constraints
        self._front: list[Mapping[str, Any]] = []
        self._name, self._trials = config.study.name, config.study.num_samples
        self._time_budget_s = config.search_time_s or math.inf
        self._seed, self._spending = config.study.seed, Spending(config.study.train_samples_budget)
        self.samples_spent = False
        self._workers = 0
        self._ended: set[str] = set()
        self._failed: set[str] = set()
        self._stopped: set[str] = set()
        self._extended: set[str] = set()
        self._dense = math.nan
        self.dense_diverged = False
        self._best: Network | None = None
        self._started_s = self._search_started_s = started_s
        self._first_round_s = math.nan
        self._paced_from: tuple[float, float] | None = None  # when, and examples until then

    def note(self, event: str, trial_id: str, result: Mapping[str, Any], now_s: float) -> None:
        """Take note of an event, of a trial or of the study itself."""
        if event in PHASES:
            self.phase = PHASES[event]
            if event == "search_started":
                self._search_started_s = now_s
                self._workers = result.get("workers", 0)
        elif event == "sensitivity_scanned":
            self._spending.scanned = result["train_samples"]
        elif event == SAMPLES_SPENT:
            self.samples_spent = True
        elif event == "trial_started":
            self.running[trial_id] = {}
            if trial_id in self._ended:
                self._extended.add(trial_id)
        elif event == "round_finished":
            self.running[trial_id] = result
            if math.isnan(self._first_round_s):
                self._first_round_s = now_s
            self._note_spending(trial_id, result, now_s)
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
        if self._spending.budget is not None:
            share = self._spending.spent / self._spending.budget
            counts.append(f"{percent(share, 0)} of the budget of examples")
        if self.running:
            busy = len(self.running)
            counts.append(f"{busy} of {max(busy, self._workers)} workers busy")
        found = []
        if self.dense_diverged:
            found.append("the dense network diverged")
        if self.networks:
            found.append(f"{len(self.networks)} networks, {len(self._front)} on the front")
        if self._best is not None:
            within = tolerance_text(self.quality, WITHIN)
            reached = compact(self.quality, self._best.quality)
            name = "" if self.quality.name == "accuracy" else f"{self.quality.name} "
            best = size_text(self.size, self._best.size)
            found.append(f"unconfirmed, within {within} of dense: {best} at {name}{reached}")
        told = (" · ".join(parts) for parts in (doing, counts, found) if parts)
        first, *others = told
        return [f"{self._name}: {first}", *others]

    def seconds_left(self, now_s: float) -> float | None:
        """How long the search will take still; None where there is nothing to tell it from.

        Trials are expected to go on at the pace since the first round, which leaves out how long
        workers took to start; of those that run, the rounds they have finished count. So are
        training examples, where there is a budget of them.
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
        if self._paced_from is not None and self._spending.budget is not None:
            since_s, before = self._paced_from
            spent = self._spending.spent
            if spent > before:
                pace_s = (now_s - since_s) / (spent - before)
                left_s = min(left_s, pace_s * max(0.0, self._spending.budget - spent))
        return left_s if math.isfinite(left_s) else None

    @property
    def front(self) -> list[Network]:
        """The networks that no other one beats in the study's objectives."""
        return [self._network(result) for result in self._front]

    def _network(self, result: Mapping[str, Any]) -> Network:
        return Network(result[self.size], result[self.quality.column])

    def _note_spending(self, trial_id: str, result: Mapping[str, Any], now_s: float) -> None:
        if self._spending.budget is None:
            return
        self._spending.note(trial_id, self._seed, result)
        if self._paced_from is None and self.phase == PHASES["search_started"]:
            self._paced_from = now_s, self._spending.spent

    def _note_round(self, result: Mapping[str, Any]) -> None:
        if result["round"] == 0:
            self.dense_diverged |= not is_finite(result)
            self._dense = result[self.quality.column] if is_finite(result) else math.nan
            return
        network = self._network(result)
        self.networks.append(network)
        counts = is_finite(result) and all(
            constraint.violation(result) <= 0 for constraint in self._constraints
        )
        if not counts:
            return
        self._front = joined(self._front, result, self._objectives)
        drop = self.quality.drop(self._dense, network.quality)
        good = is_tolerable(self.quality, drop, self._dense, WITHIN)
        if good and (self._best is None or network.size < self._best.size):
            self._best = network


def joined(
    front: list[Mapping[str, Any]], result: Mapping[str, Any], objectives: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """The front after one more result, which is on it where none is as good in all objectives."""

    def at_least_as_good(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        ways = objectives.items()
        return all(a[name] >= b[name] if way == "max" else a[name] <= b[name] for name, way in ways)

    if any(at_least_as_good(each, result) for each in front):
        return front
    return [*(each for each in front if not at_least_as_good(result, each)), result]


def duration(seconds: float) -> str:
    """A duration in the two units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
