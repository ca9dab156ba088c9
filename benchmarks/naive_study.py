"""The study that a competent user writes without this project: Ray Tune, Optuna, nn.utils.prune.

A function trainable trains LeNet-300-100, prunes it over some rounds and reports one result;
``OptunaSearch`` maximises accuracy and minimises density. Nothing here comes from this project.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import optuna
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

LAYERS = ("0", "2", "4")
BATCH_SIZE = 64
LR, LEAST_LR = 0.1, 0.001
MOMENTUM = 0.9

Arrays = dict[str, tuple[Tensor, Tensor]]
"""Training and validation split: inputs (n, 784) float32, targets (n,) int64."""


def search_space(trial: optuna.Trial) -> dict[str, Any]:
    """What a plan may be, define-by-run."""
    for layer in LAYERS:
        trial.suggest_float(f"sparsity_{layer}", 0.0, 0.99)
    trial.suggest_int("rounds", 1, 5)
    trial.suggest_float("retrain_epochs", 1, 4, step=0.5)
    way = trial.suggest_categorical("retrain", ["finetune", "lr_rewind", "weight_rewind"])
    if way == "weight_rewind":
        trial.suggest_float("rewind_epoch", 0.0, 2.0, step=0.5)
    return {}


class Training:
    """A network, its data, and how many examples it has seen."""

    def __init__(self, data: Arrays, epochs: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
        )
        self.loader = DataLoader(TensorDataset(*data["train"]), batch_size=BATCH_SIZE, shuffle=True)
        self.validation = data["validation"]
        self.total_steps = epochs * len(self.loader)
        self.samples = 0

    def lr_at(self, step: int) -> float:
        course = (1 + math.cos(math.pi * min(step, self.total_steps - 1) / self.total_steps)) / 2
        return LEAST_LR + (LR - LEAST_LR) * course

    def run(
        self, first: int, steps: int, moves: bool = True,
        after_step: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        """Take steps, with the learning rate of the dense run from a step of it on."""
        optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=MOMENTUM)
        self.model.train()
        done = 0
        while done < steps:
            for inputs, targets in self.loader:
                optimizer.param_groups[0]["lr"] = self.lr_at(first + (done if moves else 0))
                optimizer.zero_grad()
                nn.functional.cross_entropy(self.model(inputs), targets).backward()
                optimizer.step()
                self.samples += len(targets)
                done += 1
                if after_step is not None:
                    after_step(done)
                if done == steps:
                    break

    def accuracy(self) -> float:
        self.model.eval()
        inputs, targets = self.validation
        with torch.no_grad():
            return float((self.model(inputs).argmax(1) == targets).float().mean())

    def density(self) -> float:
        weights = [self.model.get_submodule(layer).weight for layer in LAYERS]
        return sum(int((w != 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def train_and_prune(config: dict[str, Any], data: Arrays, epochs: int, seed: int) -> dict[str, Any]:
    """Train dense, and prune over the rounds; the last network, and those between."""
    torch.set_num_threads(1)
    training = Training(data, epochs, seed)
    per_epoch = len(training.loader)
    rewind_step = round(config.get("rewind_epoch", 0.0) * per_epoch)
    early = copy.deepcopy(training.model.state_dict())

    def keep(step: int) -> None:
        if step == rewind_step:
            early.update(copy.deepcopy(training.model.state_dict()))

    training.run(0, training.total_steps, after_step=keep)
    steps, between = round(config["retrain_epochs"] * per_epoch), []
    for _ in range(config["rounds"]):
        for layer in LAYERS:
            kept = 1.0 - config[f"sparsity_{layer}"]
            share = 1.0 - kept ** (1.0 / config["rounds"])  # of what remains, the same each round
            prune.l1_unstructured(training.model.get_submodule(layer), "weight", amount=share)
        if config["retrain"] == "weight_rewind":
            with torch.no_grad():
                for name, value in training.model.named_parameters():
                    value.copy_(early[name.replace("_orig", "")])
            training.run(rewind_step, steps)
        elif config["retrain"] == "lr_rewind":
            training.run(max(training.total_steps - steps, 0), steps)
        else:
            training.run(training.total_steps - 1, steps, moves=False)
        between.append((training.samples, training.accuracy(), training.density()))
    return {
        "accuracy": between[-1][1],
        "density": between[-1][2],
        "samples": training.samples,
        "between": between,
        "ended": time.time(),
    }


def trainable(config: dict[str, Any], **options: Any) -> None:
    """One trial of the study: one result."""
    tune.report(train_and_prune(config, **options))


def naive_study(
    data: Arrays, epochs: int, trials: int, seed: int, folder: str, sampler: str = "tpe"
) -> list[dict[str, Any]]:
    """Run the study; what each trial reported, in the order in which they ended."""
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    search = OptunaSearch(
        space=search_space,
        metric=["accuracy", "density"],
        mode=["max", "min"],
        sampler=samplers[sampler](seed=seed),
    )
    with_data = tune.with_parameters(trainable, data=data, epochs=epochs, seed=seed)
    tuner = tune.Tuner(
        tune.with_resources(with_data, {"cpu": 1}),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=trials, max_concurrent_trials=1),
        run_config=tune.RunConfig(name=f"naive-{sampler}-{seed}", storage_path=folder, verbose=0),
    )
    started = time.time()
    results = [result.metrics for result in tuner.fit() if result.metrics]
    return as_points(results, started)


def as_points(results: list[dict[str, Any]], started: float) -> list[dict[str, Any]]:
    """Results in the order in which they ended, with what all had cost by then."""
    points, samples = [], 0
    for result in sorted(results, key=lambda result: result["ended"]):
        before, samples = samples, samples + result["samples"]
        points.append(
            {
                "samples": samples,
                "wall_s": result["ended"] - started,
                "accuracy": result["accuracy"],
                "density": result["density"],
                "between": [[before + seen, *network] for seen, *network in result["between"]],
            }
        )
    return points
