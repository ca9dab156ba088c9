"""Optuna behind Ray Tune: asks for plans, tells how they went."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search_spaces import Layer, SearchSpace
from study.plugins import import_string
from study.pruning.plan import PruningPlan


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
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        layers: Sequence[Layer],
        objectives: Sequence[str],
        seed: int,
        trial_config: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._study = study
        self._space = space
        self._layers = list(layers)
        self._objectives = list(objectives)
        self._seed = seed
        self._trial_config = dict(trial_config)
        self._numbers: dict[str, int] = {}

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Metric and mode are those of the study; Ray has nothing to add."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Draw the next plan."""
        trial = self._study.ask()
        plan = draw_plan(self._space, trial, self._layers, self._seed)
        self._numbers[trial_id] = trial.number
        return {
            **self._trial_config,
            "id": trial_name(trial.number),
            "plan": plan.model_dump(mode="json"),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A round is over; the trial is told when it ends."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a plan went. One that failed, diverged or was cut off teaches nothing."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        values = self._values(result) if result is not None and not error else None
        if values is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, values)

    def _values(self, result: Mapping[str, Any]) -> list[float] | None:
        """Objectives of a plan that came to its end with finite figures."""
        values = [result[name] for name in self._objectives]
        finite = all(math.isfinite(value) for value in (*values, result["val_loss"]))
        return values if finite and result["round"] == result["rounds_planned"] else None

    def save(self, checkpoint_path: str) -> None:
        """Write which Optuna trial each running Ray trial is; all else is in Optuna's storage."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers))

    def restore(self, checkpoint_path: str) -> None:
        """Read what :meth:`save` wrote."""
        self._numbers = json.loads(Path(checkpoint_path).read_text())


def draw_plan(
    space: SearchSpace, trial: optuna.trial.BaseTrial, layers: Sequence[Layer], seed: int
) -> PruningPlan:
    """Draw a plan from a space, or from the user's own function that stands for one."""
    if space.function is None:
        return PruningPlan(**space.suggest(trial, layers), seed=seed)
    drawn = import_string("space.function", space.function)(trial, layers)
    fields = drawn.model_dump() if isinstance(drawn, PruningPlan) else dict(drawn)
    return PruningPlan.model_validate({**fields, "seed": seed})


def trial_name(number: int) -> str:
    """Name of a trial in the study folder."""
    return f"{number:04d}"


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
