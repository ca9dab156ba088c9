"""Predicted times of narrower networks, against the table and networks built by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn

from study.pruning import PruningPlan, mask_layers, predict_latency, train_dense
from study.pruning.latency.measuring import Latency
from study.pruning.sensitivity import savings
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.sensitivity.savings import clock_for
from study.pruning.timing import Timing
from study.pruning.training.trajectory import build_model
from study.tasks import Task, make_task
from tests.pruning.tiny import images

PLAN = PruningPlan(sparsity=0.0, structure="channels")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_STUDY_CACHE", str(tmp_path))


def net(a: int, b: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(),
        nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(36 * b, 3),
    )  # fmt: skip


def task() -> Task:
    return make_task(
        lambda: net(8, 12), images(60, 0), images(30, 1), epochs=1, batch_size=16, lr=0.05
    )


def test_times_are_those_of_networks_built_with_fewer_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken_ms = 5.0

    def measured(networks: dict[str, nn.Module], *_: object, **__: object) -> dict[str, Latency]:
        return {name: Latency(taken_ms, 0.1, 50, "eager", 1, 4, "cpu") for name in networks}

    monkeypatch.setattr(savings, "measure_latency", measured)
    own = task()
    states = train_dense(own, PLAN.seeds).states
    masked = mask_layers(build_model(own, 0))
    clock = clock_for(own, masked, Timing("eager", batch_size=4, repeats=3))
    records = scan_channels(own, states[max(states)], PLAN, levels=(0.0, 0.5), clock=clock).records
    assert len(records) == 4
    for record in records:
        a, b = 8, 12
        if record.sparsity:
            a, b = (4, 12) if record.layer == "0" else (8, 6)
        by_hand = predict_latency(net(a, b).eval(), torch.zeros(4, 1, 6, 6), clock.table,
                                  scale=clock.scale)  # fmt: skip
        assert record.predicted_latency_ms == pytest.approx(taken_ms)  # as dense was measured
        assert record.predicted_saved_ms == pytest.approx(taken_ms - by_hand)
