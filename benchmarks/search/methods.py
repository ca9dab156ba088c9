"""The rivals: each gives the networks that it found, in order, with what they had cost.

==========  ======================================================================================
naive       Ray Tune, OptunaSearch and torch.nn.utils.prune by hand: ``naive_study.py``
textbook    one run of iterative magnitude pruning, by ``run_pipeline`` in this process
sweep       the 14 such runs of :data:`SWEEP`, cheap first, from one dense run
product     ``study.run`` with :data:`SPACE`, stage by stage
tpe         the same, plans drawn by Optuna's TPE; and so on: :data:`STUDIES`
==========  ======================================================================================

Test data are read when a method has ended, for those networks alone that were on the validation
front when they were found; no choice reads what they said. The time that takes is not counted.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import ray
import torch
from torch import nn

import study
from analysis import load
from analysis.spending.spending import round_costs
from benchmarks.search.naive_study import accuracy, naive_study
from benchmarks.search.tasks import EPOCHS, SETTINGS
from benchmarks.search.volumes import Network, joins, once_on_front, with_joined
from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline, train_dense
from study.pruning.masking.masks import MaskedLayers
from study.records import STUDY_FILE, RoundRecord
from study.storage import Folder
from study.tasks import evaluate
from study.tuning.afterwards.held_out import read_test

FLOOR = 0.01
"""Density at which a textbook run ends, and the volume too."""

TEXTBOOK = ("lamp", 0.20, 2)
"""Allocation, share of what remains that a round removes, epochs a round."""

SWEEP = (
    # rounds x epochs, that is what a run costs beside the dense one
    ("global", 0.50, 1),  # 7
    ("lamp", 0.50, 1),
    ("erk", 0.50, 1),
    ("lamp", 0.36, 1),  # 10
    ("lamp", 0.50, 2),  # 14
    ("global", 0.36, 2),  # 20
    ("lamp", 0.36, 2),
    ("erk", 0.36, 2),
    ("lamp", 0.20, 1),  # 21
    ("lamp", 0.50, 5),  # 35
    ("lamp", 0.20, 2),  # 42
    ("erk", 0.20, 2),
    ("lamp", 0.36, 5),  # 50
    ("lamp", 0.20, 5),  # 105
)
"""Every cut with every length for LAMP, which is the usual one; the other two allocations at the
cheap end and in the middle. 400 epochs in all."""

SPACE: dict[str, Any] = {
    "density": [FLOOR, 1.0],
    "rounds": [1, 25],
    "retrain": ["finetune", "lr_rewind", "weight_rewind"],
    "rewind_epoch": [0.0, 2.0],
    "retrain_epochs": [1, 5],
}
"""Where the studies that are compared look for plans."""


STAGED_TRIALS = 60
"""At most; stages end by themselves."""


def most_trials(name: str, task: str) -> int:
    """Trials of a method's study, where nothing else is asked for."""
    return STAGED_TRIALS if name == "product" else SETTINGS[task].trials


def run(name: str, task: str, trials: int, seed: int) -> list[Network]:
    """Run one method once."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        return METHODS[name](task, trials, seed, scratch)


def _naive(task: str, trials: int, seed: int, scratch: str) -> list[Network]:
    start_ray()
    data = SETTINGS[task].task().data
    arrays = {
        "train": (data.train.inputs, data.train.targets),
        "validation": (data.validation.inputs, data.validation.targets),
    }
    build, test = SETTINGS[task].by_hand, data.load_test()
    found = naive_study(build, arrays, EPOCHS, trials, seed, scratch)
    files = [network.pop("weights") for network in found]
    networks = [Network(**network) for network in found]
    model = build()

    def on_test(number: int) -> float:
        model.load_state_dict(torch.load(files[number], weights_only=True))
        return accuracy(model, test.inputs, test.targets)

    return _read(networks, on_test)


def _textbook(task: str, trials: int, seed: int, scratch: str) -> list[Network]:
    return _by_hand([TEXTBOOK], task, seed)


def _sweep(task: str, trials: int, seed: int, scratch: str) -> list[Network]:
    return _by_hand(SWEEP, task, seed)


def textbook_plan(
    allocation: str, cut: float, epochs: float, seed: int, floor: float = FLOOR
) -> PruningPlan:
    """Iterative magnitude pruning to the floor, each round removing nearly ``cut``."""
    rounds = 1
    while (1.0 - cut) ** (rounds + 0.5) > floor:  # the nearest number of rounds
        rounds += 1
    return PruningPlan(
        sparsity=1.0 - floor,
        allocation=allocation,  # type: ignore[arg-type]
        rounds=rounds,
        retrain="lr_rewind",
        retrain_epochs=epochs,
        seed=seed,
    )


def _by_hand(runs: Sequence[tuple[str, float, float]], task_name: str, seed: int) -> list[Network]:
    """Runs one after another, all from one dense run."""
    task = SETTINGS[task_name].task()
    plans = [textbook_plan(*each, seed) for each in runs]
    began = time.perf_counter()
    dense = train_dense(task, plans[0].seeds)
    kept = _Kept()
    networks: list[Network] = []
    samples = 0
    for number, plan in enumerate(plans):
        before = 0
        for record in run_pipeline(plan, task, dense, observer=kept):
            if record.round > 0 or number == 0:  # the dense run is paid for once
                samples += record.train_samples - before
            before = record.train_samples
            if record.round > 0:
                wall_s = time.perf_counter() - began
                networks.append(_network(record, samples, wall_s, number))
    test = task.data.load_test()
    return _read(networks, lambda n: evaluate(kept.models[n], test, task).metrics["accuracy"])


def _network(record: RoundRecord, samples: int, wall_s: float, trial: int) -> Network:
    return Network(samples, wall_s, record.val_accuracy, record.density, trial)


class _Kept:
    """Copies of the networks that were on the front when they were found, by number."""

    def __init__(self) -> None:
        self.models: dict[int, nn.Module] = {}
        self._front: list[Network] = []
        self._number = 0

    def checkpoint(self, progress: Callable[[], object]) -> None:
        """Nothing of it is kept."""

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], object]
    ) -> None:
        """Keep a copy, if it joins the front."""
        if record.round == 0:
            return
        network = _network(record, 0, 0.0, 0)
        if joins(self._front, network):
            self._front = with_joined(self._front, network)
            self.models[self._number] = copy.deepcopy(masked.model)
        self._number += 1


STUDIES: dict[str, dict[str, Any]] = {
    "product": {"search": {"sampler": "stages"}},
    "tpe": {"search": {"sampler": "tpe"}},
    "per_layer": {"search": {"sampler": "tpe"}, "space": {"form": "per_layer"}},
    "projected": {"search": {"sampler": "tpe"}, "space": {"form": "density_projected"}},
    "nsga2": {"search": {"sampler": "nsga2"}},
    "gp": {"search": {"sampler": "gp"}},
    "random": {"search": {"sampler": "random"}},
    "no_stops": {"search": {"sampler": "tpe", "early_stopping": "none"}},
    "mo_asha": {"search": {"sampler": "tpe", "early_stopping": "mo_asha"}},
    "extend": {"search": {"sampler": "tpe", "extend": True}},
}
"""Studies of this project that are compared: what each has beside :data:`SPACE`."""


def _study(name: str, task: str, trials: int, seed: int, scratch: str) -> list[Network]:
    start_ray()
    own = STUDIES[name]
    space = {**SPACE, **own.get("space", {})}
    if space.get("form") == "per_layer":
        del space["density"]  # each layer has a level of its own
    config = {
        "space": space,
        "search": own["search"],
        "confirm": {"share": 0},
        "resources": {"max_concurrent": 1},
        "study": {"name": name, "num_samples": trials, "seed": seed},
        "task": {"object": f"benchmarks.search.tasks:{task}"},
    }
    began = time.time()
    folder = Folder(study.run(config, storage_path=scratch))
    rounds = load(Path(folder.location)).rounds
    rounds = rounds.assign(added=round_costs(rounds)["train_samples"])
    rounds = rounds.sort_values(["finished_at", "round"], kind="stable", ignore_index=True)
    so_far = rounds["added"].cumsum()
    pruned = rounds[rounds["round"] > 0]
    networks = [
        Network(
            samples=int(so_far[row.Index]),
            wall_s=row.finished_at.timestamp() - began,
            accuracy=row.val_accuracy,
            density=row.density,
            trial=int(row.trial_id),
        )
        for row in pruned.itertuples()
    ]
    names = list(zip(pruned["trial_id"], pruned["round"], strict=True))
    written = load_config(tomllib.loads(folder.read(STUDY_FILE).decode()))

    def on_test(number: int) -> float:
        (record,) = read_test(folder, written, [names[number]])
        return float(record.test_accuracy)

    return _read(networks, on_test)


def _read(networks: Sequence[Network], on_test: Callable[[int], float]) -> list[Network]:
    """The same networks, with test figures of those that were once on the front."""
    return [
        replace(network, test=on_test(number)) if once else network
        for number, (network, once) in enumerate(
            zip(networks, once_on_front(networks), strict=True)
        )
    ]


def start_ray() -> None:
    """One CPU, before a method's clock runs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not ray.is_initialized():
        ray.init(
            "local", num_cpus=1, log_to_driver=False, logging_level=logging.ERROR,
            include_dashboard=False,
        )  # fmt: skip


METHODS: dict[str, Callable[[str, int, int, str], list[Network]]] = {
    "naive": _naive,
    "textbook": _textbook,
    "sweep": _sweep,
    **{name: partial(_study, name) for name in STUDIES},
}

RIVALS = ("naive", "textbook", "sweep", "tpe", "product")
"""What is run where nothing else is asked for; the rest are other ways to set this project up."""
