"""A network that is trained already: pruned as it is, and taught by what it was.

    prune-study run examples/from_checkpoint.toml

In place of your own training, `trained` makes a checkpoint the first time, in the folder
`checkpoints` beside this file. `epochs=0` begins at those weights. While it is retrained, the
pruned network learns from the outputs of the whole one too (`distill`).
"""

import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from study.tasks import Task, make_task

CHECKPOINT = Path(__file__).parent / "checkpoints" / "digits-cnn.safetensors"


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def digits() -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return found.images[:, None].astype("float32") / 16, found.target


def trained(images: np.ndarray, targets: np.ndarray) -> Path:
    """The checkpoint of a network that saw these examples and no others."""
    if not CHECKPOINT.exists():
        x, y = torch.from_numpy(images), torch.from_numpy(targets)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = model()
            optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
            for _ in range(12):
                for rows in torch.randperm(len(x)).split(64):
                    optimizer.zero_grad()
                    functional.cross_entropy(network(x[rows]), y[rows]).backward()
                    optimizer.step()
        CHECKPOINT.parent.mkdir(exist_ok=True)
        save_file(network.state_dict(), partial := f"{CHECKPOINT}.{os.getpid()}")
        Path(partial).replace(CHECKPOINT)  # whole, or not at all
    return CHECKPOINT


def task() -> Task:
    images, targets = digits()
    train, validation, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)
    return make_task(
        model,
        train=(images[train], targets[train]),
        validation=(images[validation], targets[validation]),
        test=(images[test], targets[test]),
        name="digits-checkpoint", weights=str(trained(images[train], targets[train])), epochs=0,
        batch_size=64, optimizer="adam", lr=1e-3, distill={"weight": 0.5, "temperature": 2.0},
    )  # fmt: skip
