"""scikit-learn's 1,797 handwritten digits of 8 x 8 pixels; they come with the library."""

from __future__ import annotations

from pathlib import Path

import torch

from study.tasks.data.images import split_three_ways, standardise
from study.tasks.data.splits import Data


def digits(data_dir: Path | None = None) -> Data:
    """Load the digits: inputs (n, 1, 8, 8) float32, split 70 / 15 / 15 % by class.

    Parameters
    ----------
    data_dir
        Of no use here; the data are part of scikit-learn.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images).float().unsqueeze(1)
    parts = standardise(*split_three_ways(inputs, torch.from_numpy(bunch.target).long()))
    return Data("digits", parts[0], parts[1], lambda: parts[2], classes=10)
