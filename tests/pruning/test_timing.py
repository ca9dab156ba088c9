"""The latency of rounds: of the network without what is dead in it, beside the dense one."""

import math

import pytest
import torch

from study.pruning import PruningPlan, run_pipeline
from study.pruning.pipeline import Pipeline
from study.pruning.shrinking.deployed import deployed
from study.pruning.timing import Timing
from tests.pruning.tiny import Deep, tiny_task

PLANS = {
    "channels": PruningPlan(
        structure="channels", sparsity=0.6, rounds=1, saliency="l2", retrain_epochs=0
    ),
    "weights": PruningPlan(sparsity={"conv.2": 0.99, "fc": 0.9}, rounds=1, retrain_epochs=0),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_timed_gives_what_the_masked_network_gives(name: str) -> None:
    task = tiny_task(model=Deep)
    pipeline = Pipeline(PLANS[name], task, None)
    list(pipeline.rounds(None))
    inputs = task.data.train.inputs[:5]
    small = deployed(task, pipeline.masked, pipeline.structures)
    torch.testing.assert_close(small(inputs), pipeline.model.eval()(inputs), rtol=1e-4, atol=1e-5)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (small, pipeline.model)]
    assert sizes[0] < sizes[1]


def test_a_record_has_the_times_of_its_network_and_of_the_dense_one() -> None:
    records = list(run_pipeline(PLANS["channels"], tiny_task(), timing=Timing("eager", repeats=2)))
    for record in records:
        assert record.latency_ms > 0
        assert record.speedup_measured == record.dense_latency_ms / record.latency_ms
    plain = list(run_pipeline(PLANS["channels"], tiny_task()))
    assert all(math.isnan(record.latency_ms) for record in plain)
    assert [r.val_accuracy for r in plain] == [r.val_accuracy for r in records]
