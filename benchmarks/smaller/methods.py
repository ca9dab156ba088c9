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

from benchmarks.smaller.tasks import RETRAIN_EPOCHS, STRUCTURES, WIDTH_MULTIPLES
from study.pruning import PruningPlan, run_pipeline
from study.pruning.channels import channels_of
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.deployed import deployed
from study.pruning.training.retraining import retrain_segment
from study.pruning.training.steps import train
from study.pruning.training.train_state import load_model
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

ALIGNED = "_aligned"
"""What ends the name of a method whose widths are multiples of the task's."""


def plan_of(name: str, task: Task, seed: int) -> PruningPlan:
    """One of this project's plans."""
    method = name.removesuffix(ALIGNED)
    fields = {
        "width_multiple": WIDTH_MULTIPLES[task.name] if method != name else 1,
        "structure": STRUCTURES.get(task.name, "channels"),
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
    return PruningPlan.model_validate({**fields, **OWN[method]})


def dense_model(task: Task, dense: Trajectory) -> nn.Module:
    """The network at the end of the dense run."""
    model = build_model(task, 0)
    load_model(model, dense.states[dense_steps(task)])
    return model


def costs_of(model: nn.Module, task: Task) -> tuple[float, int]:
    """Multiply-adds of the layers and parameters, by Torch-Pruning's count for every method."""
    macs, parameters = torch_pruning.utils.count_ops_and_params(model, example(task))
    return float(macs), int(parameters)


def example(task: Task) -> torch.Tensor:
    """One image, as a network is given it."""
    image: torch.Tensor = task.prepared(task.data.train.inputs[:1], torch.float32)
    return image.to(task.device)


class _Keeper:
    """The network of the last round."""

    masked: MaskedLayers

    def checkpoint(self, progress: object) -> None:
        """Nothing of it is kept."""

    def round_finished(self, record: object, masked: MaskedLayers, progress: object) -> None:
        """Keep it."""
        self.masked = masked


def own(name: str, task: Task, dense: Trajectory, seed: int) -> Iterator[tuple[Narrow, nn.Module]]:
    """This project's networks, without what the plan took out."""
    test, plan, keeper = task.data.load_test(), plan_of(name, task, seed), _Keeper()
    structures = channels_of(plan, task, mask_layers(build_model(task, plan.seeds.init)))
    whole, _ = costs_of(dense_model(task, dense), task)
    for record in run_pipeline(plan, task, dense, observer=keeper):
        if record.round:
            model = deployed(task, keeper.masked, structures)
            accuracy = evaluate(model, test, task).metrics["accuracy"]
            macs, parameters = costs_of(model, task)
            yield (
                Narrow(
                    TARGETS[record.round - 1],
                    macs / whole,
                    parameters,
                    record.val_accuracy,
                    accuracy,
                ),
                model,
            )


def peer(name: str, task: Task, dense: Trajectory, seed: int) -> Iterator[tuple[Narrow, nn.Module]]:
    """Torch-Pruning's networks, cut to the same multiply-adds and retrained by the same steps."""
    method = name.removesuffix(ALIGNED)
    plan = plan_of(f"uniform{name.removeprefix(method)}", task, seed)
    model = dense_model(task, dense)
    masked = mask_layers(build_model(task, plan.seeds.init))
    may_go = {
        part.tensor.removesuffix(".weight")
        for structure in channels_of(plan, task, masked)
        for part in structure.parts
        if part.role == "writes"
    }
    heads = {
        layer: layer.out_features // module.head_dim
        for module in model.modules()
        if hasattr(module, "head_dim")
        for layer in (module.q_proj, module.k_proj, module.v_proj)
    }
    kinds = (nn.Linear, nn.Conv2d)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        example(task),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=1.0,
        max_pruning_ratio=0.95,
        iterative_steps=400,
        ignored_layers=[
            m for n, m in model.named_modules() if isinstance(m, kinds) and n not in may_go
        ],
        num_heads=heads,
        prune_num_heads=True,
        round_to=plan.width_multiple,
        **PEERS[method],
    )
    whole, _ = costs_of(model, task)
    test, data_step = task.data.load_test(), dense_steps(task)
    for target in TARGETS:
        macs, parameters = costs_of(model, task)
        while macs > target * whole:
            pruner.step()
            macs, parameters = costs_of(model, task)
        segment = retrain_segment(plan, task, data_step)
        train(model, build_optimizer(task.recipe, model), task, segment, plan.seeds.data)
        data_step += segment.steps
        validation = evaluate(model, task.data.validation, task).metrics["accuracy"]
        accuracy = evaluate(model, test, task).metrics["accuracy"]
        yield Narrow(target, macs / whole, parameters, validation, accuracy), model


METHODS = {**dict.fromkeys(OWN, own), **dict.fromkeys(PEERS, peer)}
METHODS |= {f"{name}{ALIGNED}": method for name, method in METHODS.items()}


def methods_of(task_name: str) -> list[str]:
    """All of them, the aligned ones where the task says to what."""
    return [name for name in METHODS if task_name in WIDTH_MULTIPLES or ALIGNED not in name]
