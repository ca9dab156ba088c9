"""FastNAS of NVIDIA's Model Optimizer beside the others; in an environment of its own.

    pip install nvidia-modelopt requests huggingface_hub torchprofile==0.0.4  # beside this one
    python -m benchmarks.smaller run --task resnet20 --methods fastnas

It searches the widths of all convolutions at once, also of those that residual sums couple, for the
network of the highest validation accuracy below a share of the multiply-adds, without training.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.smaller.methods import (
    TARGETS,
    Narrow,
    costs_of,
    dense_model,
    example,
    plan_of,
)
from study.pruning.training.retraining import retrain_segment
from study.pruning.training.steps import train
from study.pruning.training.trajectory import Trajectory, dense_steps
from study.tasks import Task, evaluate
from study.tasks.data.splits import Split
from study.tasks.training.optimizers import build_optimizer

DIVISOR = 4
"""Of what widths are multiples."""

SCORED = 2_000
"""Validation examples by which a network is scored, so that a search takes minutes."""

CALIBRATED, BATCH = 2_000, 100
"""Training images that statistics of norms are taken from again, and how many at once."""


def fastnas(
    name: str, task: Task, dense: Trajectory, seed: int
) -> Iterator[tuple[Narrow, nn.Module]]:
    """FastNAS's network of each size, searched in the dense one and trained as long as others are.

    The others reach a size round by round; its network is trained at once for as many examples.
    """
    del name
    plan, whole = plan_of("uniform", task, seed), costs_of(dense_model(task, dense), task)[0]
    test = task.data.load_test()
    for round_, target in enumerate(TARGETS, 1):
        model = searched(dense_model(task, dense), task, target)
        step = dense_steps(task)
        for _ in range(round_):
            segment = retrain_segment(plan, task, step)
            train(model, build_optimizer(task.recipe, model), task, segment, plan.seeds.data)
            step += segment.steps
        macs, parameters = costs_of(model, task)
        validation = evaluate(model, task.data.validation, task).metrics["accuracy"]
        accuracy = evaluate(model, test, task).metrics["accuracy"]
        yield Narrow(target, macs / whole, parameters, validation, accuracy), model


def searched(model: nn.Module, task: Task, target: float) -> nn.Module:
    """The network of the highest score below a share of the multiply-adds."""
    from modelopt.torch import prune

    images = task.prepared(task.data.train.inputs[:CALIBRATED], example(task).dtype)
    batches: list[Tensor] = list(images.split(BATCH))
    validation = task.data.validation
    held_out = Split(validation.inputs[:SCORED], validation.targets[:SCORED])

    def score(candidate: nn.Module) -> float:
        return float(evaluate(copy.deepcopy(candidate), held_out, task).metrics["accuracy"])

    widths = {"*": {"channel_divisor": DIVISOR}}
    rules: dict[str, Any] = {
        "nn.Conv2d": widths,
        "nn.BatchNorm2d": {"*": {"feature_divisor": DIVISOR}},
    }
    with tempfile.TemporaryDirectory() as folder:
        found, _ = prune.prune(
            model=model.to(memory_format=torch.contiguous_format),  # it knows no other
            mode=[("fastnas", rules)],
            constraints={"flops": f"{100 * target:g}%"},
            dummy_input=example(task),
            config={
                "data_loader": batches,
                "collect_func": lambda batch: batch,
                "score_func": score,
                "checkpoint": f"{folder}/search.pth",
                "verbose": False,
            },
        )
    network: nn.Module = found
    return network
