"""Data that do not fit: a memory map four times the memory limit of its process, trained from.

Beside it, in a process of the same limit, a plain loop over torch's ``DataLoader``. The limit is on
private memory (``RLIMIT_DATA``): a copy of the data would end the process, pages of the map do not
count.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.measuring import Figure
from study.pruning import PruningPlan, train_dense
from study.tasks import make_task

LIMIT_MB = 768
COLUMNS, BATCH = 1024, 128


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(COLUMNS, 256), nn.ReLU(), nn.Linear(256, 2))


class Rows(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a memory map, one by one: what a plain loop would be given."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self._inputs, self._targets = inputs, targets

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = torch.from_numpy(np.array(self._inputs[index]))
        return row, torch.as_tensor(self._targets[index])


def plain(inputs: np.ndarray, targets: np.ndarray) -> float:
    """Seconds of an epoch of a plain loop."""
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    begin = time.perf_counter()
    for x, y in DataLoader(Rows(inputs, targets), BATCH, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return time.perf_counter() - begin


def ours(train: Any) -> float:
    """Seconds of an epoch of a dense run."""
    few = (np.zeros((4, COLUMNS), np.float32), np.array([0, 1, 0, 1]))
    task = make_task(model, train, few, epochs=1, batch_size=BATCH, lr=0.01)
    begin = time.perf_counter()
    train_dense(task, PruningPlan(sparsity=0.5).seeds)
    return time.perf_counter() - begin


def in_limits(folder: Path, way: str, rounds: int) -> list[float]:
    """In this process: set the limit, then time epochs."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_MB * 2**20,) * 2)
    torch.set_num_threads(1)
    inputs = np.load(folder / "inputs.npy", mmap_mode="r")
    targets = np.load(folder / "targets.npy")
    forms = {
        "plain": lambda: plain(inputs, targets),
        "map": lambda: ours((inputs, targets)),
        "dataset": lambda: ours(Rows(inputs, targets)),
    }
    return [forms[way]() for _ in range(rounds)]


def write_data(folder: Path, rows: int) -> None:
    """Fill a file block by block."""
    generator = np.random.default_rng(0)
    inputs = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.float32, (rows, COLUMNS))
    block = generator.standard_normal((4096, COLUMNS), dtype=np.float32)
    for begin in range(0, rows, len(block)):
        inputs[begin : begin + len(block)] = block[: rows - begin]
    inputs.flush()
    np.save(folder / "targets.npy", (np.arange(rows) % 2).astype(np.int64))


def measure(quick: bool) -> list[Figure]:
    """Throughput against the plain loop, each in a process of its own under the limit."""
    limit = LIMIT_MB * 2**20
    rows = (limit if quick else 4 * limit) // (4 * COLUMNS)
    with tempfile.TemporaryDirectory() as name:
        write_data(Path(name), rows)
        seconds: dict[str, list[float]] = {"plain": [], "map": [], "dataset": []}
        for _ in range(1 if quick else 3):
            for way in seconds:
                command = [sys.executable, "-m", "benchmarks.streamed_data", name, way]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                seconds[way] += json.loads(said)
    size = f"{rows * COLUMNS * 4 / 2**30:.1f} GiB under a limit of {LIMIT_MB / 1024:.2g} GiB"
    return [
        Figure.of(
            f"{what} of {size}",
            "x the speed of a loop",
            [loop / own for loop, own in zip(seconds["plain"], seconds[way], strict=True)],
            ">= 0.95",
        )
        for what, way in (("memory map", "map"), ("data set", "dataset"))
    ]


if __name__ == "__main__":
    print(json.dumps(in_limits(Path(sys.argv[1]), sys.argv[2], rounds=1)))
