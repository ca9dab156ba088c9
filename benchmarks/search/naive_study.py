"""The study that a competent user writes without this project: Ray Tune, Optuna, nn.utils.prune.

A function trainable takes a dense network that was trained once, prunes it over some rounds and
reports one result; ``OptunaSearch`` maximises accuracy and minimises density, which is drawn on a
log scale. The networks between the rounds are kept, though the search is told of the last alone.
Nothing here comes from this project.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 64
LR = 1.2e-3  # of Adam, the same throughout: learning-rate rewinding is then fine-tuning
REWIND_EPOCHS = (0.0, 0.5, 1.0, 1.5, 2.0)

Arrays = dict[str, tuple[Tensor, Tensor]]
"""Training and validation split: inputs float32, targets (n,) int64."""

Weights = dict[str, Tensor]


def search_space(trial: optuna.Trial) -> dict[str, Any]:
    """What a plan may be, define-by-run."""
    trial.suggest_float("density", 0.01, 1.0, log=True)
    trial.suggest_categorical("across", ["network", "each_layer"])
    trial.suggest_int("rounds", 1, 10)
    trial.suggest_float("retrain_epochs", 1, 5, step=0.5)
    if trial.suggest_categorical("retrain", ["finetune", "weight_rewind"]) == "weight_rewind":
        trial.suggest_categorical("rewind_epoch", REWIND_EPOCHS)
    return {}


class Training:
    """A network, its data, and how many examples it has seen."""

    def __init__(self, model: nn.Module, data: Arrays) -> None:
        self.model = model
        self.loader = DataLoader(TensorDataset(*data["train"]), batch_size=BATCH_SIZE, shuffle=True)
        self.validation = data["validation"]
        self.samples = 0

    def run(self, epochs: float, after_step: Callable[[int], None] | None = None) -> None:
        """Take steps with a new optimizer."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.model.train()
        steps, done = round(epochs * len(self.loader)), 0
        while done < steps:
            for inputs, targets in self.loader:
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
        return accuracy(self.model, *self.validation)

    def layers(self) -> dict[str, nn.Module]:
        kinds = (nn.Linear, nn.Conv2d)
        return {name: m for name, m in self.model.named_modules() if isinstance(m, kinds)}

    def density(self) -> float:
        weights = [layer.weight for layer in self.layers().values()]
        return sum(int((w != 0).sum()) for w in weights) / sum(w.numel() for w in weights)

    def cut(self, share: float, across: str) -> None:
        """Remove the smallest of the weights that are left."""
        weights = [(layer, "weight") for layer in self.layers().values()]
        if across == "network":
            prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=share)
            return
        for layer, name in weights:
            prune.l1_unstructured(layer, name, amount=share)

    def rewind(self, early: Weights) -> None:
        """Put the weights of the dense run back, under the masks."""
        for name, value in self.model.state_dict().items():
            if not name.endswith("_mask"):
                value.copy_(early[name.removesuffix("_orig")])

    def weights(self) -> Weights:
        """The state of the network as a plain one, zeros where it is pruned."""
        state = self.model.state_dict()
        plain = {n: v for n, v in state.items() if not n.endswith(("_orig", "_mask"))}
        pruned = {f"{name}.weight": layer.weight for name, layer in self.layers().items()}
        return {name: value.detach().clone() for name, value in {**plain, **pruned}.items()}


def accuracy(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Share of examples that are classified rightly."""
    model.eval()
    with torch.no_grad():
        parts = zip(inputs.split(1000), targets.split(1000), strict=True)
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in parts) / len(targets)


def train_dense(
    build: Callable[[], nn.Module], data: Arrays, epochs: int, seed: int
) -> tuple[dict[float, Weights], int]:
    """The weights at each epoch that a plan may go back to and at the end; and the examples."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    training = Training(build(), data)
    per_epoch = len(training.loader)
    epoch_at = {round(epoch * per_epoch): epoch for epoch in (*REWIND_EPOCHS, float(epochs))}
    kept = {0.0: copy.deepcopy(training.model.state_dict())}

    def keep(step: int) -> None:
        if step in epoch_at:
            kept[epoch_at[step]] = copy.deepcopy(training.model.state_dict())

    training.run(epochs, after_step=keep)
    return kept, training.samples


def prune_and_retrain(
    config: dict[str, Any],
    build: Callable[[], nn.Module],
    data: Arrays,
    dense: dict[float, Weights],
    seed: int,
    folder: str,
) -> dict[str, Any]:
    """Prune the dense network over the rounds; the last network, and all of them."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    training, networks = Training(build(), data), []
    training.model.load_state_dict(dense[max(dense)])
    share = 1.0 - config["density"] ** (1.0 / config["rounds"])  # of what remains, each round
    for round_ in range(config["rounds"]):
        training.cut(share, config["across"])
        if config["retrain"] == "weight_rewind":
            training.rewind(dense[config["rewind_epoch"]])
        training.run(config["retrain_epochs"])
        network = {"accuracy": training.accuracy(), "density": training.density()}
        path = Path(folder) / f"{time.time_ns()}-{round_}.pt"
        torch.save(training.weights(), path)
        seen = {"samples": training.samples, "ended": time.time(), "weights": str(path)}
        networks.append({**network, **seen})
    return {**network, "networks": networks}


def trainable(config: dict[str, Any], **options: Any) -> None:
    """One trial of the study: one result."""
    tune.report(prune_and_retrain(config, **options))


def naive_study(
    build: Callable[[], nn.Module], data: Arrays, epochs: int, trials: int, seed: int, folder: str
) -> list[dict[str, Any]]:
    """Run the study.

    Returns
    -------
    list of dict
        Every network in the order in which they were made: ``trial``, ``samples`` (training
        examples so far, the dense run once), ``wall_s``, ``accuracy``, ``density``, ``weights``
        (file of its state).
    """
    started = time.time()
    dense, samples = train_dense(build, data, epochs, seed)
    search = OptunaSearch(
        space=search_space,
        metric=["accuracy", "density"],
        mode=["max", "min"],
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    with_data = tune.with_parameters(
        trainable, build=build, data=data, dense=dense, seed=seed, folder=folder
    )
    tuner = tune.Tuner(
        tune.with_resources(with_data, {"cpu": 1}),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=trials, max_concurrent_trials=1),
        run_config=tune.RunConfig(name=f"naive-{seed}", storage_path=folder, verbose=0),
    )
    results = tuner.fit()
    if results.num_errors:
        raise RuntimeError(f"naive study: {results.num_errors} trials failed: {results.errors[0]}")
    reported = [result.metrics["networks"] for result in results if result.metrics]
    networks = []
    for trial, rounds in enumerate(sorted(reported, key=lambda rounds: rounds[-1]["ended"])):
        for each in rounds:
            wall_s = each.pop("ended") - started
            so_far = samples + each["samples"]
            networks.append({**each, "trial": trial, "samples": so_far, "wall_s": wall_s})
        samples = so_far
    return networks
