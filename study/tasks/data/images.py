"""Images: splits of data that come in one piece, and their scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from study.tasks.data.splits import Split
from study.tasks.data.splitting import SPLIT_SEED, stratified_split


def split_three_ways(inputs: Tensor, targets: Tensor) -> tuple[Split, Split, Split]:
    """Train, validation and test from examples that come in one piece: 70, 15 and 15 %."""
    rest, test = stratified_split(targets, 0.15, SPLIT_SEED)
    train, validation = stratified_split(targets[rest], 0.15 / 0.85, SPLIT_SEED + 1)
    train, validation = rest[train], rest[validation]
    train_split, validation_split, test_split = (
        Split(inputs[index], targets[index]) for index in (train, validation, test)
    )
    return train_split, validation_split, test_split


def standardise(train: Split, *others: Split) -> list[Split]:
    """Subtract mean and divide by deviation of each channel, both of the training split.

    A channel is the second dimension of inputs of shape (n, channels, height, width). Mean and
    deviation are made by numpy in float64, which uses one thread: with torch's float32 sums their
    last bit, and so all of the data, would depend on the number of threads.
    """
    pixels = train.inputs.numpy()
    axes = (0, 2, 3)
    mean = pixels.mean(axes, dtype=np.float64, keepdims=True)
    deviation = pixels.std(axes, dtype=np.float64, ddof=1, keepdims=True).clip(1e-8)
    shift, scale = (torch.from_numpy(x.astype(np.float32)) for x in (mean, deviation))
    return [Split((part.inputs - shift) / scale, part.targets) for part in (train, *others)]
