"""Optuna behind Ray Tune: asks for plans, tells how they went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from ray.tune.search import Searcher

from search_spaces import Layer, SearchSpace
from study.objectives import Constraint
from study.pruning.plan import PruningPlan
from study.tuning.results import INTERRUPTED
from study.tuning.search.coupled import Curves
from study.tuning.search.drawing import Drawing
from study.tuning.search.extension import Extensions
from study.tuning.search.past import PastTrial
from study.tuning.search.spending import Spending
from study.tuning.search.stages.deciding import Deciding
from study.tuning.search.stages.next_plan import Next
from study.tuning.search.taking_up import Ended, take_up
from study.tuning.search.telling import TRIAL_ID, Asked, Teller


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
    spending
        Counts the training examples. Once its budget is spent no plan is drawn and none lengthened;
        what is under way, or waits for a worker, runs to its end. None: there is no budget.
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
    stages
        Decide which plan is next, in place of a sampler; None: the sampler does.
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
        spending: Spending | None = None,
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
        stages: Deciding | None = None,
    ) -> None:
        super().__init__()
        self._trial_config = dict(trial_config)
        self._teller = Teller(study, space, layers, objectives, constraints, every_round)
        self._num_samples = num_samples
        self._spending = spending or Spending()
        self._room = room
        self._extensions = extensions
        self._first = first
        self._begun, self._flush = begun, flush
        self._is_ending, self._was_stopped = is_ending, was_stopped
        self._stages = stages
        self._order = itertools.count()
        self._running: dict[str, Asked] = {}
        self._last: dict[str, dict[str, Any] | None] = {}  # how plans ended, by their hash
        standing = take_up(study, past)
        self._asked, self._open = standing.begun, list(standing.waiting)
        self._drawing = Drawing(
            study,
            space,
            list(layers),
            seed,
            sampler=sampler,
            exploration=exploration,
            known=known,
            taken=standing.warm_started,
            scanned=scanned,
        )
        self._last |= {each.plan.content_hash(): None for each in past}
        for each in standing.ended:
            self._learn_of(each)
        self._flush()
        self.is_exhausted = False
        """Whether the space holds no plan that was not run."""
        self.is_settled = False
        """Whether the stages have nothing more to try."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune keeps a copy of all that it works with on the disk. Nothing reads it.
        return {}

    @property
    def has_all(self) -> bool:
        """Whether all of its trials were begun."""
        return self._num_samples is not None and self._asked >= self._num_samples

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run, before anything was begun."""
        return not self._open and (self.has_all or self._spending.is_spent)

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
        if self._spending.is_spent:
            return str(Searcher.FINISHED)
        extension = self._extensions.take() if self._extensions is not None else None
        if extension is not None:
            done = extension.plan.rounds - 1
            asked = Asked(None, extension.trial_id, extension.plan, told=done, first=done)
            return self._run(trial_id, asked)
        if self.has_all:
            return str(Searcher.FINISHED)
        if self._stages is not None:
            return self._run_stage(trial_id, self._stages.next())
        next_one = self._draw()
        if next_one is None:
            self.is_exhausted = True
            return str(Searcher.FINISHED)
        self._asked += 1
        return self._run(trial_id, next_one)

    def _run_stage(
        self, trial_id: str, wanted: Next | Literal["wait", "over"]
    ) -> dict[str, Any] | str | None:
        if wanted == "wait":
            return None
        if wanted == "over":
            self.is_settled = True
            return str(Searcher.FINISHED)
        name, self._asked = f"{self._asked:04d}", self._asked + 1
        return self._run(trial_id, Asked(None, name, wanted.plan, stage=wanted.stage))

    def _draw(self) -> Asked | None:
        """The next trial; None where every plan that is drawn was run before."""
        number, name = self._asked, f"{self._asked:04d}"
        if number == 0 and self._first is not None:
            return Asked(None, name, self._first)
        for trial, plan in self._drawing.plans(number):
            if plan.content_hash() not in self._last:
                trial.set_user_attr(TRIAL_ID, name)
                return Asked(trial.number, name, plan)
            self._teller.tell_again(trial.number, self._last[plan.content_hash()])
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna of a round."""
        asked = self._running.get(trial_id)
        if asked is None or INTERRUPTED in result:
            return
        round_ = result["round"]
        if all(known["round"] != round_ for known in asked.results):  # told again after a crash
            asked.results.append(result)
        self._spending.note(asked.name, asked.plan.seed, result)
        self._teller.tell_round(asked, result)
        self._flush()

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
        if self._stages is not None:
            self._stages.ended(asked.plan, asked.results)
        self._last[asked.plan.content_hash()] = dict(result) if ended and result else None
        if self._teller.tell_end(asked, result) and self._extensions is not None:
            self._extensions.trial_ended(asked.name, asked.plan, asked.results)

    def _learn_of(self, ended: Ended) -> None:
        """Of a trial of an earlier run, tell Optuna what it does not know."""
        asked, has_completed = ended.asked, ended.trial.has_completed
        last = asked.results[-1] if has_completed else None
        if not ended.was_told:
            for result in asked.results:
                self._teller.tell_round(asked, result)
            self._end(asked, last)
        elif last is not None:
            self._last[asked.plan.content_hash()] = last
            if self._extensions is not None and self._teller.values(last) is not None:
                self._extensions.trial_ended(asked.name, asked.plan, asked.results)

    def _run(self, trial_id: str, asked: Asked) -> dict[str, Any]:
        self._running[trial_id] = asked
        self._last.setdefault(asked.plan.content_hash(), None)
        self._flush()
        if self._stages is not None:
            asked.stage = asked.stage or self._stages.stage_of(asked.plan)
            self._stages.begun(asked.plan)
        self._begun(asked.name, asked.plan, asked.first > 0)
        return {
            **self._trial_config,
            "id": asked.name,
            "stage": asked.stage,
            "plan": asked.plan.model_dump(mode="json"),
            "first_round": asked.first,
            "order": next(self._order),
        }

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's own records are enough to go on from. Tune expects a file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Never asked for: Tune's own copies are not read."""
        raise NotImplementedError
