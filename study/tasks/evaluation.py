"""How good a model is on a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from study.tasks.data import Split
from study.tasks.task import Task

BATCH_SIZE = 2048
"""Examples in an evaluation batch. Fixed, so that sums are made in the same order everywhere."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of a split.

    Parameters
    ----------
    loss
        Mean over the examples.
    metrics
        Each of the task's, by name.
    samples
        Examples.
    """

    loss: float
    metrics: Mapping[str, float]
    samples: int

    def columns(self, split: str) -> dict[str, float]:
        """Fields of a record: ``{split}_NAME`` of each metric, and of the loss."""
        figures = {**self.metrics, "loss": self.loss}
        return {f"{split}_{name}": value for name, value in figures.items()}


def evaluate(
    model: nn.Module, split: Split, task: Task, batch_size: int = BATCH_SIZE
) -> Evaluation:
    """Evaluate a model in eval mode, without gradients; its mode is put back afterwards.

    Parameters
    ----------
    model
        On the device of the split.
    split
        Any split: validation for decisions, test once for a report.
    task
        Its loss and its idea of a correct output.
    batch_size
        Examples at a time.
    """
    modes = [(module, module.training) for module in model.modules()]  # a norm may be frozen
    model.eval()
    device = split.inputs.device
    loss = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    correct = torch.zeros_like(loss)
    try:
        with torch.inference_mode():
            for begin in range(0, len(split), batch_size):
                targets = split.targets[begin : begin + batch_size]
                outputs = model(split.inputs[begin : begin + batch_size])
                loss += task.evaluation_loss(outputs, targets).double() * len(targets)
                correct += task.correct(outputs, targets).double().sum()
    finally:
        for module, training in modes:
            module.training = training
    return Evaluation(
        float(loss) / len(split), {"accuracy": float(correct) / len(split)}, len(split)
    )
