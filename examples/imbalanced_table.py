"""A table in which one row of forty counts: average precision, class weights, groups.

    prune-study run examples/imbalanced_table.toml

Visits of patients, made here: measurements, and whether an emergency followed. Accuracy would
call a network good that says "no" every time. Visits of one patient are alike, so a split that
tears patients apart would flatter; `groups` keeps each whole.
"""

import numpy as np
from torch import nn

from study.tasks import Task, make_task

MEASUREMENTS = 16


def model() -> nn.Module:
    return nn.Sequential(
        nn.Linear(MEASUREMENTS, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)
    )


def visits(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measurements (n, 16), emergencies (n,) and patients (n,), four visits of each."""
    draw = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 4)
    of_patient = draw.normal(size=(patients, MEASUREMENTS))[patient]
    table = 0.8 * of_patient + 0.6 * draw.normal(size=of_patient.shape)
    risk = table[:, 0] + table[:, 1] * table[:, 2] - 0.7 * table[:, 3] ** 2 + 0.8 * table[:, 4]
    noisy = risk + 0.4 * draw.normal(size=len(risk))
    return table, (noisy > np.quantile(noisy, 0.975)).astype(int), patient


def task() -> Task:
    table, emergency, patient = visits(2500, 0)
    test_table, test_emergency, _ = visits(1000, 1)
    return make_task(
        model, train=(table, emergency), validation=0.2, groups=patient,
        test=(test_table, test_emergency), name="emergencies",
        metrics=["average_precision", "auroc"], class_weights="balanced",
        epochs=10, batch_size=128, optimizer="adam", lr=3e-3, weight_decay=1e-4,
    )  # fmt: skip
