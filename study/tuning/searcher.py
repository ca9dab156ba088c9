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
        plan = PruningPlan(**self._space.suggest(trial, self._layers), seed=self._seed)
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
        """Tell Optuna how a trial went. A failed one, or one with NaN, teaches nothing."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        values = [(result or {}).get(name, math.nan) for name in self._objectives]
        if error or not all(math.isfinite(value) for value in values):
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, values)

    def save(self, checkpoint_path: str) -> None:
        """Write which Optuna trial each running Ray trial is; all else is in Optuna's storage."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers))

    def restore(self, checkpoint_path: str) -> None:
        """Read what :meth:`save` wrote."""
        self._numbers = json.loads(Path(checkpoint_path).read_text())


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
