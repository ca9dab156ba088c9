"""Your own model and data: a function that returns a task, and nothing to subclass.

    prune-study run examples/own_task.toml

Two half moons, and a small network that tells them apart.
"""

import numpy as np
from torch import nn

from study.tasks import Task, make_task


def model() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2)
    )


def moons(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    angle = generator.uniform(0, np.pi, n) + np.pi * labels
    points = np.stack([np.cos(angle) + labels, np.sin(angle) + 0.5 * labels], axis=1)
    return points + generator.normal(0, 0.1, (n, 2)), labels


def task() -> Task:
    return make_task(
        model, train=moons(1000, 0), validation=moons(500, 1), test=moons(500, 2),
        name="two-moons", epochs=10, batch_size=50, lr=0.1,
    )  # fmt: skip
