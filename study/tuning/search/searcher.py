"""Optuna behind Ray Tune: asks for plans, tells how they went."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, Field
from ray.tune.search import Searcher

from search_spaces import Layer, SearchSpace
from study.objectives import Constraint
from study.plugins import import_string
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.records import is_finite
from study.tuning.search.coupled import Curves
from study.tuning.search.extension import Extensions


class Asked(BaseModel):
    """A plan that is being run."""

    number: int | None = Field(description="of the Optuna trial; what it did not ask for has none")
    name: str = Field(description="of the trial in the study folder")
    plan: PruningPlan
    told: int = Field(default=0, description="last round that Optuna was told of")
    first: int = Field(default=0, description="round after which an extension begins; 0: none")


class SearcherState(BaseModel):
    """What a searcher must not forget."""

    asked: int = 0
    known: int = Field(default=0, description="points of the warm start that were taken")
    running: dict[str, Asked] = Field(default_factory=dict)


class PlanSearcher(Searcher):
    """Proposes plans of a space and learns from their outcome.

    Parameters
    ----------
    study
        The Optuna study; its storage outlives this process.
    space
        What to draw.
    layers
        The network's prunable layers.
    objectives
        Fields of a result, in the order of the study's directions.
    seed
        Seed of every plan.
    trial_config
        What the trainable needs beside the plan.
    every_round
        Whether each finished round is told to Optuna as the plan that it is the end of: under a
        geometric or constant schedule, the first k rounds of a plan are the plan of k rounds.
    exploration
        Share of the plans that are drawn at random; which these are, the seed decides.
    num_samples
        Plans to draw; None for no end.
    constraints
        What a network must meet; the sampler learns by how much each point fails.
    room
        Says how many trials may be under way now. Where it is one more than there are workers, the
        next trial waits for one that gets free; it is drawn with what was known before.
    extensions
        Proposes further rounds of ended trials; None for never.
    first
        A plan that is run before any is drawn, as one of the ``num_samples``; None for none. The
        sampler is told of it where it is one of the space's own.
    known
        Points to take before the sampler draws any, but for trials that are drawn at random.
    scanned
        What a scan found, for plans of allocation ``sensitivity``.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        layers: Sequence[Layer],
        objectives: Sequence[str],
        seed: int,
        trial_config: Mapping[str, Any],
        *,
        every_round: bool = True,
        exploration: float = 0.0,
        num_samples: int | None = None,
        constraints: Sequence[Constraint] = (),
        room: Callable[[], float] = lambda: math.inf,
        extensions: Extensions | None = None,
        first: PruningPlan | None = None,
        known: Sequence[Mapping[str, Any]] = (),
        scanned: Curves | None = None,
    ) -> None:
        super().__init__()
        self._study = study
        self._space = space
        self._layers = list(layers)
        self._objectives = list(objectives)
        self._seed = seed
        self._trial_config = dict(trial_config)
        self._every_round = every_round and space.function is None
        self._samplers = (study.sampler, optuna.samplers.RandomSampler(seed=seed))
        self._exploration = exploration
        self._num_samples = num_samples
        self._constraints = list(constraints)
        self._room = room
        self._extensions = extensions
        self._first = first
        self._known = [dict(point) for point in known]
        self._scanned = scanned
        self._results: dict[str, list[dict[str, Any]]] = {}
        self._order = itertools.count()
        self._state = SearcherState()

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Metric and mode are those of the study; Ray has nothing to add."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Draw the next plan, or lengthen one that ended on the front; None while all is busy."""
        if len(self._state.running) >= self._room():
            return None
        extension = self._extensions.take() if self._extensions is not None else None
        if extension is not None:
            done = extension.plan.rounds - 1
            asked = Asked(
                number=None, name=extension.trial_id, plan=extension.plan, told=done, first=done
            )
            return self._run(trial_id, asked)
        if self._state.asked == self._num_samples:
            return str(Searcher.FINISHED)
        number = self._state.asked
        name = f"{number:04d}"
        self._state.asked += 1
        if number == 0 and self._first is not None:
            return self._run(trial_id, Asked(number=None, name=name, plan=self._first))
        is_random = explores(number, self._exploration, self._seed)
        self._study.sampler = self._samplers[is_random]
        if not is_random and self._state.known < len(self._known):
            # Only now: what waits would be taken in the place of a plan that is to be random.
            self._study.enqueue_trial(self._known[self._state.known])
            self._state.known += 1
        trial = self._study.ask()
        plan = draw_plan(self._space, trial, self._layers, self._seed, self._scanned)
        trial.set_user_attr("trial_id", name)
        return self._run(trial_id, Asked(number=trial.number, name=name, plan=plan))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna of a round as the plan that it is the end of, if the space has that plan.

        Where the space is given by cuts, a plan ends at the floor, and its rounds belong to it:
        each is told with the parameters of the whole descent, which do not say how dense it is.
        """
        asked = self._state.running.get(trial_id)
        if asked is None:
            return
        self._results.setdefault(trial_id, []).append(result)
        round_ = result["round"]
        if not self._every_round or not asked.told < round_ < asked.plan.rounds:
            return
        asked.told = round_  # a round that was run again after a crash is not told twice
        whole = self._space.cut is not None
        plan = asked.plan if whole else asked.plan.prefix(round_)
        if plan is not None:
            self._add(asked, plan, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a plan went. One that failed, diverged or was cut off teaches nothing.

        Of a trial that was stopped early, the round it was stopped after is still told.
        """
        if result is not None and not error:
            self.on_trial_result(trial_id, result)
        asked = self._state.running.pop(trial_id, None)
        results = self._results.pop(trial_id, [])
        if asked is None:
            return
        ended = result is not None and not error and result["round"] == asked.plan.rounds
        values = self._values(result) if ended and result is not None else None
        if values is not None and result is not None:
            if asked.number is None:
                self._add(asked, asked.plan, result)
            else:
                self._constrain(asked.number, result)
                self._study.tell(asked.number, values)
            if self._extensions is not None:
                self._extensions.trial_ended(asked.name, asked.plan, results)
        elif asked.number is not None:
            self._study.tell(asked.number, state=TrialState.FAIL)

    def _run(self, trial_id: str, asked: Asked) -> dict[str, Any]:
        self._state.running[trial_id] = asked
        plan = asked.plan.model_dump(mode="json")
        return {
            **self._trial_config,
            "id": asked.name,
            "plan": plan,
            "first_round": asked.first,
            "order": next(self._order),
        }

    def _add(self, asked: Asked, plan: PruningPlan, result: Mapping[str, Any]) -> None:
        """Tell Optuna of a plan that it did not ask for, if it is one of the space."""
        values = self._values(result)
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
                user_attrs={"trial_id": asked.name, "round": result["round"]},
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

    def _values(self, result: Mapping[str, Any]) -> list[float] | None:
        """Objectives of a round, if all of its figures are finite."""
        values = [result[name] for name in self._objectives]
        finite = is_finite(result) and all(math.isfinite(value) for value in values)
        return values if finite else None

    def save(self, checkpoint_path: str) -> None:
        """Write which Optuna trial each running Ray trial is; all else is in Optuna's storage."""
        Path(checkpoint_path).write_text(self._state.model_dump_json())

    def restore(self, checkpoint_path: str) -> None:
        """Read what :meth:`save` wrote."""
        self._state = SearcherState.model_validate_json(Path(checkpoint_path).read_text())


def draw_plan(
    space: SearchSpace,
    trial: optuna.trial.BaseTrial,
    layers: Sequence[Layer],
    seed: int,
    scanned: Curves | None = None,
) -> PruningPlan:
    """Draw a plan from a space, or from the user's own function that stands for one."""
    if space.function is None:
        return plan_of(space.suggest(trial, layers), seed, scanned)
    drawn = import_string("space.function", space.function)(trial, layers)
    fields = drawn.model_dump() if isinstance(drawn, PruningPlan) else dict(drawn)
    return PruningPlan.model_validate({**fields, "seed": seed})


def plan_of(fields: Mapping[str, Any], seed: int, scanned: Curves | None) -> PruningPlan:
    """A plan of a space's fields; one that goes by a scan has with it what the scan found."""
    found = {"scanned_drops": scanned} if fields["allocation"] == "sensitivity" else {}
    return PruningPlan.model_validate({**fields, **found, "seed": seed})


def explores(number: int, share: float, seed: int) -> bool:
    """Whether the trial of this number is drawn at random.

    Of every ``1 / share`` trials in a row exactly one is, at a place that the seed decides: at
    equal distances, it could always meet the same level of whatever else takes turns.
    """
    if share == 0:
        return False
    block = math.floor(number * share + 1e-9)
    begin, end = (math.ceil(each / share - 1e-9) for each in (block, block + 1))
    return number == begin + derive_seed(seed, "exploration", block) % (end - begin)


def close_open_trials(study: optuna.Study) -> None:
    """Fail what was asked for, or waits, and will not be run: nothing is left open for ever."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    for _ in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of that name, seeded."""
    if name == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of the argument group
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)
