"""What Optuna is told: of each round, of how a plan ended, and of plans that were run before."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces import Layer, SearchSpace
from study.objectives import Constraint
from study.pruning.plan import PruningPlan
from study.records import is_finite

TRIAL_ID, ROUND = "trial_id", "round"
"""What Optuna's trials are marked with: the study's trial, and of one of its rounds also which."""


@dataclass
class Asked:
    """A plan that is being run.

    Parameters
    ----------
    number
        Of the Optuna trial; what it did not ask for has none.
    name
        Of the trial in the study folder.
    plan
        What is run.
    told
        Last round that Optuna was told of.
    first
        Round after which an extension begins; 0: it is none.
    results
        Of the rounds so far.
    stage
        Of the search, where it has stages.
    """

    number: int | None
    name: str
    plan: PruningPlan
    told: int = 0
    first: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    stage: str = ""


class Teller:
    """Keeps an Optuna study's records those of the trials.

    Parameters
    ----------
    study
        The Optuna study; its storage outlives this process.
    space
        What its plans are drawn from.
    layers
        The network's prunable layers.
    objectives
        Fields of a result, in the order of the study's directions.
    constraints
        What a network must meet; the sampler learns by how much each point fails.
    every_round
        Whether each finished round is told as the plan that it is the end of.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        layers: Sequence[Layer],
        objectives: Sequence[str],
        constraints: Sequence[Constraint],
        every_round: bool,
    ) -> None:
        self._study = study
        self._space = space
        self._layers = list(layers)
        self._objectives = list(objectives)
        self._constraints = list(constraints)
        self._every_round = every_round and space.function is None

    def values(self, result: Mapping[str, Any]) -> list[float] | None:
        """Objectives of a round, if all of its figures are finite."""
        values = [result[name] for name in self._objectives]
        finite = is_finite(result) and all(math.isfinite(value) for value in values)
        return values if finite else None

    def tell_round(self, asked: Asked, result: Mapping[str, Any]) -> None:
        """Tell of a round as the plan that it is the end of, if the space has that plan.

        Where the space is given by cuts, a plan ends at the floor, and its rounds belong to it:
        each is told with the parameters of the whole descent, which do not say how dense it is.
        """
        round_ = result["round"]
        if not self._every_round or not asked.told < round_ < asked.plan.rounds:
            return
        asked.told = round_
        whole = self._space.cut is not None
        plan = asked.plan if whole else asked.plan.prefix(round_)
        if plan is not None:
            self._add(asked, plan, result)

    def tell_end(self, asked: Asked, result: Mapping[str, Any] | None) -> bool:
        """Tell how a plan went; one that failed, diverged or did not end teaches nothing.

        Returns
        -------
        bool
            Whether it ended with figures.
        """
        ended = result is not None and result["round"] == asked.plan.rounds
        values = self.values(result) if ended and result is not None else None
        if values is None or result is None:
            if asked.number is not None:
                self._study.tell(asked.number, state=TrialState.FAIL)
            return False
        if asked.number is not None:
            self._constrain(asked.number, result)
            self._study.tell(asked.number, values)
        elif asked.told < asked.plan.rounds:
            self._add(asked, asked.plan, result)
        return True

    def tell_again(self, number: int, result: Mapping[str, Any] | None) -> None:
        """Tell of a plan that was run before what came of it, at no cost."""
        values = None if result is None else self.values(result)
        if values is None or result is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._constrain(number, result)
            self._study.tell(number, values)

    def _add(self, asked: Asked, plan: PruningPlan, result: Mapping[str, Any]) -> None:
        """Tell Optuna of a plan that it did not ask for, if it is one of the space."""
        values = self.values(result)
        if values is None or self._space.function is not None:
            return
        parameters: dict[str, Any] | None
        if self._space.cut is not None and asked.number is not None:
            parameters = self._asked_for(asked.number).params  # those of the descent, to the bit
        else:
            parameters = self._space.parameters_of(plan.model_dump(), self._layers)
        if parameters is None:
            return
        self._study.add_trial(
            create_trial(
                params=parameters,
                distributions=self._space.distributions(parameters, self._layers),
                values=values,
                user_attrs={TRIAL_ID: asked.name, ROUND: result["round"]},
                system_attrs=self._generation(asked),
                constraints={str(c): c.violation(result) for c in self._constraints} or None,
            )
        )

    def _asked_for(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _generation(self, asked: Asked) -> dict[str, Any]:
        """An evolutionary sampler only breeds from trials that belong to a generation."""
        if asked.number is None:
            return {}
        attributes = self._asked_for(asked.number).system_attrs
        return {k: v for k, v in attributes.items() if k.endswith(":generation")}

    def _constrain(self, number: int, result: Mapping[str, Any]) -> None:
        storage = self._study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        trial = optuna.trial.Trial(self._study, trial_id)
        for constraint in self._constraints:
            trial.set_constraint(str(constraint), constraint.violation(result))


def close_open_trials(study: optuna.Study, but: Collection[int] = ()) -> None:
    """Fail what was asked for, or waits, and will not be run, ``but`` for these numbers."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number not in but:
            study.tell(trial.number, state=TrialState.FAIL)
    for _ in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)
