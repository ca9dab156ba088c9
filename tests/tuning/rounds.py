"""Results of rounds as a worker reports them, made by hand."""

import math
from typing import Any

from study.pruning import PruningPlan


def result(round_: int, accuracy: float, density: float, **other: Any) -> dict[str, Any]:
    """A round of a network of 4,096 prunable and 10 other parameters, trained an epoch a round."""
    return {
        "round": round_,
        "val_accuracy": accuracy,
        "val_loss": 1.0 - accuracy,
        "density": density,
        "nonzero_parameters": round(4096 * density) + 10,
        "total_parameters": 4106,
        "prunable_parameters": 4096,
        "macs": 4096 * density,
        "dense_macs": 4096.0,
        "latency_ms": math.nan,
        "dense_latency_ms": math.nan,
        "train_epochs": 5.0 + round_,
        "train_samples": 500 + 100 * round_,
        **other,
    }


def halving_plan(rounds: int, **fields: Any) -> PruningPlan:
    """Every round halves what is left."""
    return PruningPlan(sparsity=1 - 0.5**rounds, rounds=rounds, **fields)


def run_of(accuracies: list[float]) -> list[dict[str, Any]]:
    """A trial of a halving plan, from the dense round on."""
    return [result(round_, value, 0.5**round_) for round_, value in enumerate(accuracies)]
