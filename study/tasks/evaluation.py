"""How good a model is on a split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from study.tasks.data import Split
from study.tasks.task import Task

BATCH_SIZE = 2048
"""Examples in an evaluation batch. Fixed, so that sums are made in the same order everywhere."""


@dataclass(frozen=True)
class Evaluation:
    """Means over the examples of a split."""

    loss: float
    accuracy: float
    samples: int


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
        # Not inference_mode: a tensor that the model keeps could never be trained with again.
        with torch.no_grad():
            for begin in range(0, len(split), batch_size):
                targets = split.targets[begin : begin + batch_size]
                outputs = model(split.inputs[begin : begin + batch_size])
                loss += task.evaluation_loss(outputs, targets).double() * len(targets)
                correct += task.correct(outputs, targets).double().sum()
    finally:
        for module, training in modes:
            module.training = training
    return Evaluation(float(loss) / len(split), float(correct) / len(split), len(split))
