"""Optuna behind Ray Tune: asks for plans, tells how they went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from ray.tune.search import Searcher

from search_spaces import Layer, SearchSpace
from study.objectives import Constraint
from study.plugins import import_string
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.records import is_finite
from study.tuning.results import INTERRUPTED
from study.tuning.search.coupled import Curves
from study.tuning.search.extension import Extensions
from study.tuning.search.past import PastTrial
from study.tuning.search.samplers import make_sampler

TRIAL_ID, ROUND = "trial_id", "round"
"""What Optuna's trials are marked with: the study's trial, and of one of its rounds also which."""


REDRAWN, REDRAWN_AT_RANDOM = 10, 50
"""How often a plan that was run before is drawn anew: by the sampler first, and then at random,
before the space is taken to hold no other."""


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
    """

    number: int | None
    name: str
    plan: PruningPlan
    told: int = 0
    first: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)


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
    sampler
        Name of Optuna's sampler. It is made anew for each plan, seeded by the plan's number, so
        that what is drawn follows from what is on record alone, and a study that goes on draws
        what it would have drawn.
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
    past
        Trials of an earlier run of the study: those that did not end are run first.
    begun
        Called with the name and plan of each trial, and whether it is an extension, before it has
        a worker.
    flush
        Called when Optuna was asked or told something.
    is_ending
        Says whether no further trial is to begin.
    was_stopped
        Says whether early stopping ended a trial of this name. One that was cut off by anything
        else stays open in Optuna's records, for a later run of the study.
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
        sampler: str = "tpe",
        every_round: bool = True,
        exploration: float = 0.0,
        num_samples: int | None = None,
        constraints: Sequence[Constraint] = (),
        room: Callable[[], float] = lambda: math.inf,
        extensions: Extensions | None = None,
        first: PruningPlan | None = None,
        known: Sequence[Mapping[str, Any]] = (),
        scanned: Curves | None = None,
        past: Sequence[PastTrial] = (),
        begun: Callable[[str, PruningPlan, bool], None] = lambda name, plan, is_extension: None,
        flush: Callable[[], None] = lambda: None,
        is_ending: Callable[[], bool] = lambda: False,
        was_stopped: Callable[[str], bool] = lambda name: True,
    ) -> None:
        super().__init__()
        self._study = study
        self._space = space
        self._layers = list(layers)
        self._objectives = list(objectives)
        self._seed = seed
        self._trial_config = dict(trial_config)
        self._every_round = every_round and space.function is None
        self._sampler = sampler
        self._exploration = exploration
        self._num_samples = num_samples
        self._constraints = list(constraints)
        self._room = room
        self._extensions = extensions
        self._first = first
        self._known = [dict(point) for point in known]
        self._scanned = scanned
        self._begun, self._flush = begun, flush
        self._is_ending, self._was_stopped = is_ending, was_stopped
        self._order = itertools.count()
        self._running: dict[str, Asked] = {}
        self._last: dict[str, dict[str, Any] | None] = {}  # how plans ended, by their hash
        self._asked = self._taken = 0  # trials, and points of the warm start
        self._open = self._take_up(past)
        self.is_exhausted = False
        """Whether the space holds no plan that was not run."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune keeps a copy of all that it works with on the disk. Nothing reads it.
        return {}

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run, before anything was begun."""
        return not self._open and self._num_samples is not None and self._asked >= self._num_samples

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Metric and mode are those of the study; Ray has nothing to add."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Draw the next plan, or lengthen one that ended on the front; None while all is busy."""
        if self._is_ending():
            return str(Searcher.FINISHED)
        if len(self._running) >= self._room():
            return None
        if self._open:
            return self._run(trial_id, self._open.pop(0))
        extension = self._extensions.take() if self._extensions is not None else None
        if extension is not None:
            done = extension.plan.rounds - 1
            asked = Asked(None, extension.trial_id, extension.plan, told=done, first=done)
            return self._run(trial_id, asked)
        if self._num_samples is not None and self._asked >= self._num_samples:
            return str(Searcher.FINISHED)
        next_one = self._draw()
        if next_one is None:
            self.is_exhausted = True
            return str(Searcher.FINISHED)
        self._asked += 1
        return self._run(trial_id, next_one)

    def _draw(self) -> Asked | None:
        """The next trial; None where every plan that is drawn was run before."""
        number, name = self._asked, f"{self._asked:04d}"
        if number == 0 and self._first is not None:
            return Asked(None, name, self._first)
        is_random = explores(number, self._exploration, self._seed)
        for attempt in range(REDRAWN + REDRAWN_AT_RANDOM):
            at_random = is_random or attempt >= REDRAWN
            kind = "random" if at_random else self._sampler
            seed = derive_seed(self._seed, "sampler", kind, number, attempt) % 2**32
            self._study.sampler = make_sampler(kind, seed)
            if not at_random and self._taken < len(self._known):
                # Only now: what waits would be taken in the place of a plan that is to be random.
                self._study.enqueue_trial(self._known[self._taken])
                self._taken += 1
            trial = self._study.ask()
            plan = draw_plan(self._space, trial, self._layers, self._seed, self._scanned)
            if plan.content_hash() not in self._last:
                trial.set_user_attr(TRIAL_ID, name)
                return Asked(trial.number, name, plan)
            self._tell_again(trial.number, plan)
        return None

    def _tell_again(self, number: int, plan: PruningPlan) -> None:
        """Tell Optuna of a plan that was run before what came of it, at no cost."""
        result = self._last[plan.content_hash()]
        values = None if result is None else self._values(result)
        if values is None or result is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._constrain(number, result)
            self._study.tell(number, values)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna of a round as the plan that it is the end of, if the space has that plan.

        Where the space is given by cuts, a plan ends at the floor, and its rounds belong to it:
        each is told with the parameters of the whole descent, which do not say how dense it is.
        """
        asked = self._running.get(trial_id)
        if asked is None or INTERRUPTED in result:
            return
        round_ = result["round"]
        if all(known["round"] != round_ for known in asked.results):  # told again after a crash
            asked.results.append(result)
        self._tell_round(asked, result)
        self._flush()

    def _tell_round(self, asked: Asked, result: Mapping[str, Any]) -> None:
        round_ = result["round"]
        if not self._every_round or not asked.told < round_ < asked.plan.rounds:
            return
        asked.told = round_
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
        is_cut_off = result is not None and INTERRUPTED in result
        if result is not None and not error and not is_cut_off:
            self.on_trial_result(trial_id, result)
        asked = self._running.pop(trial_id, None)
        if asked is None:
            return
        has_ended = result is not None and bool(result.get("done"))
        if error or (not is_cut_off and (has_ended or self._was_stopped(asked.name))):
            self._end(asked, None if error else result)
        self._flush()

    def _end(self, asked: Asked, result: Mapping[str, Any] | None) -> None:
        """Tell Optuna how a plan went; without a result it failed."""
        ended = result is not None and result["round"] == asked.plan.rounds
        values = self._values(result) if ended and result is not None else None
        self._last[asked.plan.content_hash()] = dict(result) if ended and result else None
        if values is not None and result is not None:
            if asked.number is None and asked.told < asked.plan.rounds:
                self._add(asked, asked.plan, result)
            elif asked.number is not None:
                self._constrain(asked.number, result)
                self._study.tell(asked.number, values)
            if self._extensions is not None:
                self._extensions.trial_ended(asked.name, asked.plan, asked.results)
        elif asked.number is not None:
            self._study.tell(asked.number, state=TrialState.FAIL)

    def _take_up(self, past: Sequence[PastTrial]) -> list[Asked]:
        """Go on from an earlier run: what Optuna was not told of is told; what is open, given.

        Optuna's own open trials of which the study has no record, because the run ended between
        the two, are failed, and drawn again.
        """
        trials = self._study.get_trials(deepcopy=False)
        own = {t.user_attrs[TRIAL_ID]: t for t in trials if _is_whole(t)}
        told: dict[str, int] = {}
        for trial in trials:
            if ROUND in trial.user_attrs:
                name = trial.user_attrs[TRIAL_ID]
                told[name] = max(told.get(name, 0), trial.user_attrs[ROUND])
        known = {each.name for each in past}
        fixed = (t for name, t in own.items() if name in known)
        self._taken = sum("fixed_params" in trial.system_attrs for trial in fixed)
        self._asked = max((int(name) + 1 for name in known), default=0)
        waiting, ended = [], []
        for each in past:
            trial_of = own.get(each.name)
            is_running = trial_of is not None and trial_of.state == TrialState.RUNNING
            number = trial_of.number if trial_of is not None and is_running else None
            first = each.rounds_before
            done = max(told.get(each.name, 0), first)
            if trial_of is not None and trial_of.state == TrialState.COMPLETE and not first:
                done = each.plan.rounds
            asked = Asked(number, each.name, each.plan, done, first)
            self._last[each.plan.content_hash()] = None
            if each.is_open:
                waiting.append(asked)
            else:
                asked.results = list(each.results)
                was_told = trial_of is not None and not is_running
                ended.append((each, asked, was_told or asked.told == each.plan.rounds))
        kept = [*waiting, *(asked for _, asked, _ in ended)]
        close_open_trials(self._study, {a.number for a in kept if a.number is not None})
        for each, asked, was_told in sorted(ended, key=lambda e: e[0].ended_at):
            self._learn_of(each, asked, was_told)
        self._flush()
        return waiting

    def _learn_of(self, trial: PastTrial, asked: Asked, was_told: bool) -> None:
        """Of an ended trial, tell Optuna what it does not know."""
        last = asked.results[-1] if asked.results else None
        if not was_told:
            for result in asked.results:
                self._tell_round(asked, result)
            self._end(asked, last if trial.has_completed else None)
            return
        if trial.has_completed and last is not None:
            self._last[asked.plan.content_hash()] = last
            if self._extensions is not None and self._values(last) is not None:
                self._extensions.trial_ended(asked.name, asked.plan, asked.results)

    def _run(self, trial_id: str, asked: Asked) -> dict[str, Any]:
        self._running[trial_id] = asked
        self._last.setdefault(asked.plan.content_hash(), None)
        self._flush()
        self._begun(asked.name, asked.plan, asked.first > 0)
        return {
            **self._trial_config,
            "id": asked.name,
            "plan": asked.plan.model_dump(mode="json"),
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

    def _values(self, result: Mapping[str, Any]) -> list[float] | None:
        """Objectives of a round, if all of its figures are finite."""
        values = [result[name] for name in self._objectives]
        finite = is_finite(result) and all(math.isfinite(value) for value in values)
        return values if finite else None

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's own records are enough to go on from. Tune expects a file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Never asked for: Tune's own copies are not read."""
        raise NotImplementedError


def _is_whole(trial: FrozenTrial) -> bool:
    """Whether it is a trial itself, and not one of its rounds."""
    return TRIAL_ID in trial.user_attrs and ROUND not in trial.user_attrs


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


def close_open_trials(study: optuna.Study, but: Collection[int] = ()) -> None:
    """Fail what was asked for, or waits, and will not be run, ``but`` for these numbers."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number not in but:
            study.tell(trial.number, state=TrialState.FAIL)
    for _ in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)
