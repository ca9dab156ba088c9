"""What makes a network narrower: this project's plans, and Torch-Pruning by itself.

All begin with one dense run a seed, cut to the same shares of its multiply-adds, and retrain for
as many examples after each cut, by the same steps: only which channels go differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import nn

from benchmarks.smaller.tasks import RETRAIN_EPOCHS
from study.pruning import PruningPlan, run_pipeline
from study.pruning.channels import channels_of
from study.pruning.masking.masks import MaskedLayers, mask_layers
from study.pruning.training.retraining import retrain_segment
from study.pruning.training.steps import load_model, train
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.tasks import Task, evaluate
from study.tasks.training.optimizers import build_optimizer

TARGETS = (0.6, 0.4, 0.2)
"""Shares of the dense multiply-adds, one after the other."""


@dataclass(frozen=True)
class Narrow:
    """A network that a method made: what it costs and how good it is on both splits."""

    target: float
    macs: float
    parameters: int
    validation: float
    test: float


def targets(round_: int, rounds: int, final_sparsity: float) -> float:
    """A schedule that stops at each of :data:`TARGETS`."""
    return 1.0 - TARGETS[round_ - 1]


OWN: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform", "saliency": "magnitude"},
    "taylor_per_mac": {"allocation": "global_raw", "saliency": "taylor", "cost_exponent": 1.0},
    "isomorphic": {"allocation": "isomorphic", "saliency": "l2"},
    "lamp_per_mac": {"allocation": "lamp", "saliency": "l2", "cost_exponent": 0.5},
}
"""This project's plans."""

PEERS: dict[str, dict[str, Any]] = {
    "torch_pruning_global": {"global_pruning": True},
    "torch_pruning_isomorphic": {"global_pruning": True, "isomorphic": True},
}
"""Torch-Pruning's group pruner by the L2 norm, as its README has it."""


def plan_of(name: str, seed: int, **changed: Any) -> PruningPlan:
    """One of this project's plans."""
    fields = {
        "structure": "channels",
        "sparsity": 1.0 - TARGETS[-1],
        "budget": "macs",
        "cost": "macs",
        "layer_floor": 0.05,
        "schedule": f"{__name__}:targets",
        "rounds": len(TARGETS),
        "retrain": "lr_rewind",
        "retrain_epochs": RETRAIN_EPOCHS,
        "seed": seed,
    }
    return PruningPlan.model_validate({**fields, **OWN[name], **changed})


def own(name: str, task: Task, dense: Trajectory, seed: int) -> Iterator[tuple[Narrow, nn.Module]]:
    """This project's networks, each with the masked model that it is."""
    test = task.data.load_test()

    class Keeper:
        model: nn.Module

        def checkpoint(self, progress: object) -> None: ...

        def round_finished(self, record: object, masked: MaskedLayers, progress: object) -> None:
            self.model = masked.model

    keeper = Keeper()
    for record in run_pipeline(plan_of(name, seed), task, dense, observer=keeper):
        if record.round:
            accuracy = evaluate(keeper.model, test, task).metrics["accuracy"]
            yield (
                Narrow(
                    TARGETS[record.round - 1],
                    record.macs / record.dense_macs,
                    record.nonzero_parameters,
                    record.val_accuracy,
                    accuracy,
                ),
                keeper.model,
            )


def peer(name: str, task: Task, dense: Trajectory, seed: int) -> Iterator[tuple[Narrow, nn.Module]]:
    """Torch-Pruning's networks, cut to the same multiply-adds and retrained by the same steps."""
    plan = plan_of("uniform", seed)
    model = build_model(task, plan.seeds.init)
    load_model(model, dense.states[dense_steps(task)])
    masked = mask_layers(build_model(task, plan.seeds.init))
    may_go = {structure.name for structure in channels_of(plan, task, masked)}
    example = task.prepared(task.data.train.take(torch.arange(1)).inputs, torch.float32)
    kinds = (nn.Linear, nn.Conv2d)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=1.0,
        max_pruning_ratio=0.95,
        iterative_steps=400,
        ignored_layers=[
            m for n, m in model.named_modules() if isinstance(m, kinds) and n not in may_go
        ],
        **PEERS[name],
    )
    whole, _ = torch_pruning.utils.count_ops_and_params(model, example)
    test, data_step = task.data.load_test(), dense_steps(task)
    for target in TARGETS:
        macs = whole
        while macs > target * whole:
            pruner.step()
            macs, _ = torch_pruning.utils.count_ops_and_params(model, example)
        segment = retrain_segment(plan, task, data_step)
        train(model, build_optimizer(task.recipe, model), task, segment, plan.seeds.data)
        data_step += segment.steps
        validation = evaluate(model, task.data.validation, task).metrics["accuracy"]
        parameters = sum(parameter.numel() for parameter in model.parameters())
        accuracy = evaluate(model, test, task).metrics["accuracy"]
        yield Narrow(target, macs / whole, parameters, validation, accuracy), model


METHODS = {**dict.fromkeys(OWN, own), **dict.fromkeys(PEERS, peer)}
