"""The latency of rounds: of the network without what is dead in it, beside the dense one."""

import math
from pathlib import Path

import pytest
import torch

from study.pruning import PruningPlan, run_pipeline
from study.pruning.pipeline import Pipeline
from study.pruning.rehearsal.plans import rehearse_plans
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("channels_last", [False, True])
def test_on_a_gpu_rounds_are_timed_predicted_and_cut_by_latency(
    channels_last: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNE_STUDY_CACHE", str(tmp_path))
    plan = PruningPlan(
        structure="channels", sparsity=0.001, budget="latency_ms", saliency="l2", retrain_epochs=0
    )
    task = tiny_task(model=Deep, device="cuda", channels_last=channels_last)
    for record in run_pipeline(plan, task, timing=Timing("cuda", repeats=5)):
        assert record.latency_ms > 0
        assert record.predicted_latency_ms > 0


def test_a_rehearsal_times_each_structure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement may wait a minute for others on the machine."""
    measured: list[int] = []

    def columns(self: Timing, *_: object) -> dict[str, float]:
        measured.append(self.repeats)
        return {}

    monkeypatch.setattr(Timing, "columns", columns)
    plans = [
        PruningPlan(sparsity=0.5, rounds=1, retrain_epochs=0, saliency=saliency)
        for saliency in ("magnitude", "random")
    ]
    plans.append(PruningPlan(structure="2:4", include=("fc",), retrain_epochs=0))
    rehearse_plans(tiny_task(model=Deep), plans[:1], Timing("eager"))
    once = len(measured)
    rehearse_plans(tiny_task(model=Deep), plans, Timing("eager"))
    assert once > 0
    assert len(measured) == 3 * once
