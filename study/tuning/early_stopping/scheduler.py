"""Early stopping as Ray Tune wants it: a scheduler over a rule that knows about pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces import Layer
from study.configuration.loading import StudyConfig
from study.pruning.plan import PruningPlan
from study.records import is_finite
from study.tuning.early_stopping.future_dominated import FutureDominated
from study.tuning.early_stopping.history import make_yardstick
from study.tuning.early_stopping.mo_asha import MultiObjectiveHalving
from study.tuning.ray.worker_order import WaitingFirst
from study.tuning.results import INTERRUPTED, REPLAYED


class StoppingRule(Protocol):
    """Watches the rounds of all trials."""

    def round_finished(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Take note of a round; why the trial should stop, if it should."""

    def trial_ended(self, trial_id: str) -> bool | None:
        """Take note of a trial's own end; of an audited one, whether it reached the front."""


class RoundScheduler(WaitingFirst):
    """Runs trials in order, and stops those that a rule stops.

    Parameters
    ----------
    workers
        As of :class:`WaitingFirst`.
    name
        The stop reason that trials are recorded with.
    rule
        Decides after each round.
    """

    def __init__(self, workers: Callable[[], int], name: str, rule: StoppingRule) -> None:
        super().__init__(workers)
        self.name = name
        self._rule = rule
        self.verdicts: dict[str, dict[str, Any]] = {}
        """Why each stopped or audited trial was to stop, by trial."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide after a round."""
        if INTERRUPTED in result:
            return str(TrialScheduler.CONTINUE)
        plan = PruningPlan.model_validate(trial.config["plan"])
        stops = self.learn_round(trial.config["id"], plan, result, again=result[REPLAYED])
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Learn from a trial that came to its own end."""
        if INTERRUPTED not in result and "round" in result:
            plan = PruningPlan.model_validate(trial.config["plan"])
            self.learn_end(trial.config["id"], plan, result)

    def has_stopped(self, trial_id: str) -> bool:
        """Whether the rule ended this trial."""
        verdict = self.verdicts.get(trial_id)
        return verdict is not None and not verdict.get("audited")

    def learn_round(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any], *, again: bool = False
    ) -> bool:
        """Take note of a round; whether the trial is to stop.

        A trial that is taken up tells ``again`` of rounds after which it went on: those it is not
        stopped for now.
        """
        verdict = self._rule.round_finished(trial_id, plan, result)
        if verdict is None or (again and not verdict.get("audited")):
            return False
        self.verdicts[trial_id] = verdict
        return not verdict.get("audited")

    def learn_end(self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]) -> None:
        """Take note of how a trial ended, if it came to its own end."""
        if self.has_stopped(trial_id):
            return
        verdict = self.verdicts.get(trial_id)
        self._rule.round_finished(trial_id, plan, result)
        if result["round"] >= plan.rounds or not is_finite(result):
            reached = self._rule.trial_ended(trial_id)
            if verdict is not None:
                self.verdicts[trial_id] = {**verdict, "reached_front": reached}


def make_scheduler(
    config: StudyConfig, layers: Sequence[Layer], workers: Callable[[], int]
) -> RoundScheduler | None:
    """The scheduler that a study asks for; None lets every trial run to its end.

    Raises
    ------
    UsageError
        If the rule cannot work with the study's objectives.
    """
    search = config.search
    if search.early_stopping == "none":
        return None
    if search.early_stopping == "mo_asha":
        return RoundScheduler(workers, "mo_asha", MultiObjectiveHalving(config.objective_columns))
    rule = FutureDominated(
        make_yardstick(config, "search.early_stopping: future_dominated"),
        layers,
        confidence=search.stopping_confidence,
        audit_share=config.stopping_audit,
        seed=config.study.seed,
    )
    return RoundScheduler(workers, "future_dominated", rule)
