"""Datasets. A loader takes ``data_dir`` (None: where it is usually found) and returns Data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from study.tasks.data.splits import Data
from study.tasks.datasets.cifar10 import cifar10
from study.tasks.datasets.digits import digits
from study.tasks.datasets.fashion_mnist import fashion_mnist
from study.tasks.datasets.mnist5k import mnist5k

DATASETS: dict[str, Callable[[Path | None], Data]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
}
