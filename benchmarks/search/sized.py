"""Methods at equal multiply-adds: textbook runs that differ in how they divide a cut, and a search.

Each rival is one textbook run: a fifth of the multiply-adds goes each round, two epochs of
learning-rate rewinding after it, whatever goes. The search is ``study.run``, stage by stage, whose
first trial is such a run too. At each size the descent counts that is best there on validation
data; of it alone the test split is read, when all have ended. Descents pass a size between two
networks; the accuracy there lies on a straight line over the logarithm of the multiply-adds.
"""

from __future__ import annotations

import copy
import functools
import math
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import study
from analysis import load
from analysis.spending.spending import round_costs
from benchmarks.search.methods import STAGED_TRIALS, start_ray, textbook_plan
from benchmarks.search.sized_tasks import SIZED, SizedSetting
from study.configuration.loading import load_config
from study.pruning import run_pipeline
from study.pruning.masking.masks import MaskedLayers
from study.records import STUDY_FILE, RoundRecord
from study.storage import Folder
from study.tasks import evaluate
from study.tuning.afterwards.held_out import read_test

SEARCH = "product"
"""The method that is no textbook run."""


@dataclass(frozen=True)
class Descent:
    """A whole run of rounds.

    Parameters
    ----------
    macs
        Share of the dense multiply-adds after each round, falling.
    validation
        Accuracy after each.
    """

    macs: Sequence[float]
    validation: Sequence[float]

    def at(self, size: float, accuracies: Sequence[float]) -> float:
        """One of its accuracies at a size; NaN where it does not come so far."""
        if self.macs[-1] > size * (1 + 1e-3):
            return math.nan
        places = -np.log(np.asarray(self.macs))
        return float(np.interp(-math.log(size), places, accuracies))


def run_sized(name: str, task: str, seed: int, trials: int = STAGED_TRIALS) -> dict[str, Any]:
    """What a method does at each level, and what it cost.

    Returns
    -------
    dict
        ``levels`` (each with ``asked``, ``validation`` and ``test``), ``samples`` (training
        examples, the dense run among them once), ``wall_s``; of the search also ``stages``, each
        with ``trials``, ``samples`` and ``levels`` from the beginning to its last trial, and
        ``members``, the rivals that are whole descents of the search itself.
    """
    torch.set_num_threads(1)
    began = time.perf_counter()
    if name == SEARCH:
        with tempfile.TemporaryDirectory() as scratch:
            return _search(task, seed, trials, scratch, began)
    return _rival(name, task, seed, began)


def _rival(name: str, task_name: str, seed: int, began: float) -> dict[str, Any]:
    setting = SIZED[task_name]
    task, kept = setting.task(), _Kept()
    plan = textbook_plan("lamp", 0.2, 2, seed, setting.floor).model_copy(
        update={"budget": "macs", "structure": setting.structure, **setting.rivals[name]}
    )
    records = list(run_pipeline(plan, task, observer=kept))
    pruned = records[1:]
    descent = Descent(
        [record.macs / record.dense_macs for record in pruned],
        [record.val_accuracy for record in pruned],
    )
    wall_s, test = time.perf_counter() - began, task.data.load_test()
    on_test = [evaluate(model, test, task).metrics["accuracy"] for model in kept.models]
    levels = [_level(name, descent, level, lambda: on_test) for level in setting.levels]
    return {"levels": levels, "samples": records[-1].train_samples, "wall_s": wall_s}


def _search(task: str, seed: int, trials: int, scratch: str, began: float) -> dict[str, Any]:
    start_ray()
    setting = SIZED[task]
    folder = Folder(study.run(_study(task, setting, seed, trials), storage_path=scratch))
    wall_s = time.perf_counter() - began
    results = load(Path(folder.location))
    samples = int(round_costs(results.rounds)["train_samples"].sum())
    pruned = results.rounds[results.rounds["round"] > 0].sort_values(["trial_id", "round"])
    descents = {
        str(name): Descent((own["macs"] / own["dense_macs"]).tolist(), own["val_accuracy"].tolist())
        for name, own in pruned.groupby("trial_id")
    }
    config = load_config(tomllib.loads(folder.read(STUDY_FILE).decode()))

    @functools.cache
    def on_test(name: str) -> list[float]:
        networks = [(name, number + 1) for number in range(len(descents[name].macs))]
        return [float(record.test_accuracy) for record in read_test(folder, config, networks)]

    def levels(names: Sequence[str]) -> list[dict[str, Any]]:
        found = []
        for level in setting.levels:
            worths = {name: descents[name].at(level, descents[name].validation) for name in names}
            best = max(worths, key=lambda name: np.nan_to_num(worths[name], nan=-1.0))
            found.append(_level(best, descents[best], level, lambda: on_test(best)))  # noqa: B023
        return found

    begun = results.trials.sort_values("trial_id")
    stages = []
    for stage in begun["stage"].unique():
        last = begun.loc[begun["stage"] == stage, "trial_id"].max()
        ids = [name for name in begun["trial_id"] if name <= last]
        rounds = results.rounds[results.rounds["trial_id"].isin(ids)].reset_index(drop=True)
        stages.append(
            {
                "stage": stage,
                "trials": len(ids),
                "samples": int(round_costs(rounds)["train_samples"].sum()),
                "levels": levels([name for name in ids if name in descents]),
            }
        )
    members = {}
    for rival, fields in setting.rivals.items():
        own = begun[begun["stage"].isin(("textbook", "portfolio"))]
        own = own[own["status"] == "completed"]
        for field, value in fields.items():
            own = own[own[field] == value]
        for name in own["trial_id"]:
            members[rival] = {
                "levels": levels([name]),
                "samples": int(results.rounds.groupby("trial_id")["train_samples"].max()[name]),
            }
    return {
        "levels": stages[-1]["levels"],
        "samples": samples,
        "wall_s": wall_s,
        "stages": stages,
        "members": members,
    }


def _study(task: str, setting: SizedSetting, seed: int, trials: int) -> dict[str, Any]:
    return {
        "space": {
            "structure": setting.structure,
            "density": [setting.floor, 1.0],
            "budget": "macs",
            "rounds": [1, 25],
            "retrain": ["lr_rewind", "weight_rewind"],
            "rewind_epoch": [0.0, 2.0],
            "retrain_epochs": [1, 5],
            **setting.space,
        },
        "objectives": {"accuracy": "max", "macs": "min"},
        "search": {"sampler": "stages"},
        "confirm": {"share": 0},
        "resources": {"max_concurrent": 1},
        "study": {"name": SEARCH, "num_samples": trials, "seed": seed},
        "task": {"object": f"benchmarks.search.sized_tasks:{task.replace('-', '_')}"},
    }


def _level(
    name: str, descent: Descent, level: float, on_test: Callable[[], Sequence[float]]
) -> dict[str, Any]:
    return {
        "asked": level,
        "descent": name,
        "validation": descent.at(level, descent.validation),
        "test": descent.at(level, on_test()),
    }


class _Kept:
    """Copies of the pruned networks, in order."""

    def __init__(self) -> None:
        self.models: list[nn.Module] = []

    def checkpoint(self, progress: Callable[[], object]) -> None:
        """Nothing of it is kept."""

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], object]
    ) -> None:
        """Keep a copy."""
        if record.round:
            self.models.append(copy.deepcopy(masked.model))
