"""The methods that the search benchmark compares, each a study that gives points over its cost."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import ray

import study
from analysis import load
from benchmarks.naive_study import LAYERS, Arrays, as_points, naive_study, train_and_prune
from benchmarks.search_tasks import EPOCHS, TASKS

Point = dict[str, Any]
"""samples and wall_s so far; accuracy and density of a network."""

LEVERS = ("every_round", "bounds", "warm_start", "stopping", "extension")

SPACE = {
    "per_layer": {"bounds": [0.0, 0.99]},
    "rounds": [1, 5],
    "schedule": "geometric",
    "retrain": ["finetune", "lr_rewind", "weight_rewind"],
    "rewind_epoch": [0.0, 2.0],
    "retrain_epochs": [1, 4],
}

DEFAULT = ("every_round", "warm_start", "stopping")


def methods() -> dict[str, dict[str, Any]]:
    """Every method by name: what it is, for the table and for :func:`run`."""
    found: dict[str, dict[str, Any]] = {
        "naive": {"kind": "naive", "sampler": "tpe"},
        "naive-random": {"kind": "naive", "sampler": "random"},
        "sweep": {"kind": "sweep"},
        "ours": {"kind": "ours", "levers": DEFAULT},
        "all-levers": {"kind": "ours", "levers": LEVERS},
        "no-lever": {"kind": "ours", "levers": ()},
        "ours-random": {"kind": "ours", "levers": DEFAULT, "sampler": "random"},
    }
    for lever in LEVERS:
        found[f"only-{lever}"] = {"kind": "ours", "levers": (lever,)}
        rest = tuple(each for each in LEVERS if each != lever)
        found[f"without-{lever}"] = {"kind": "ours", "levers": rest}
    return found


def run(name: str, task: str, trials: int, seed: int) -> list[Point]:
    """Run one method once."""
    method = methods()[name]
    _start_ray()
    with tempfile.TemporaryDirectory() as scratch:
        if method["kind"] == "ours":
            sampler = method.get("sampler", "tpe")
            return _ours(task, trials, seed, method["levers"], sampler, scratch)
        if method["kind"] == "sweep":
            return _sweep(task, seed)
        return naive_study(_arrays(task), EPOCHS, trials, seed, scratch, method["sampler"])


def _start_ray() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not ray.is_initialized():
        ray.init(
            num_cpus=1, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
        )


def _arrays(task: str) -> Arrays:
    data = TASKS[task]().data
    return {
        "train": (data.train.inputs, data.train.targets),
        "validation": (data.validation.inputs, data.validation.targets),
    }


def _config(
    task: str, trials: int, seed: int, levers: tuple[str, ...], sampler: str
) -> dict[str, Any]:
    bounds = {"per_layer": {"bounds": "sensitivity"}} if "bounds" in levers else {}
    return {
        "study": {"name": "ours", "num_samples": trials, "seed": seed},
        "task": {"object": f"benchmarks.search_tasks:{task}"},
        "space": {**SPACE, **bounds},
        "search": {
            "sampler": sampler,
            "every_round": "every_round" in levers,
            **({} if "warm_start" in levers else {"warm_start": [], "textbook": False}),
            "early_stopping": "future_dominated" if "stopping" in levers else "none",
            "extend": "extension" in levers,
        },
        "sensitivity": {"scan": "bounds" in levers or "warm_start" in levers, "headroom": 10.0},
        "resources": {"max_concurrent": 1},
    }


def _ours(
    task: str, trials: int, seed: int, levers: tuple[str, ...], sampler: str, scratch: str
) -> list[Point]:
    folder = study.run(_config(task, trials, seed, levers, sampler), storage_path=scratch)
    results = load(Path(folder))
    began = results.events["at"].min()
    rounds = results.rounds.sort_values(["trial_id", "round"])
    added = rounds.groupby("trial_id")["train_samples"].diff()
    dense = float(rounds.loc[rounds["round"] == 0, "train_samples"].iloc[0])
    rounds = rounds.assign(added=added.fillna(0.0)).sort_values("finished_at", kind="stable")
    so_far = dense + rounds["added"].cumsum()  # the dense run is trained once
    return [
        {
            "samples": float(samples),
            "wall_s": (row.finished_at - began).total_seconds(),
            "accuracy": row.val_accuracy,
            "density": row.density,
        }
        for row, samples in zip(rounds.itertuples(), so_far, strict=True)
        if row.round > 0
    ]


def _sweep(task: str, seed: int) -> list[Point]:
    """What is done by hand: equal sparsity in all layers at a grid of densities, three rounds."""
    data, results, started = _arrays(task), [], time.time()
    for density in (0.5, 0.35, 0.25, 0.17, 0.12, 0.085, 0.06, 0.04, 0.03, 0.02):
        for way in ("finetune", "lr_rewind", "weight_rewind"):
            sparsity = {f"sparsity_{layer}": 1.0 - density for layer in LAYERS}
            plan = {**sparsity, "rounds": 3, "retrain_epochs": 3.0, "retrain": way}
            results.append(train_and_prune({**plan, "rewind_epoch": 1.0}, data, EPOCHS, seed))
    return as_points(results, started)
