"""The benchmark of costs in rankings: where its descents pass, and what its table says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.cost_aware import LEVELS, METHODS, plan_of, run, table
from tests.pruning.tiny import tiny_task


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_plan_that_passes_the_levels_by_fifths(method: str) -> None:
    plan = plan_of(method, 3)
    densities = [1.0 - float(plan.sparsity_at(k)) for k in range(plan.rounds + 1)]  # type: ignore[arg-type]
    assert [densities[k] for k in LEVELS] == pytest.approx(list(LEVELS.values()))
    cuts = [1 - after / before for before, after in pairwise(densities)]
    assert all(0.2 < cut < 0.21 for cut in cuts)
    assert (plan.budget, plan.seed) == ("macs", 3)


def test_a_run_meets_the_levels_and_its_table_averages_over_seeds(tmp_path: Path) -> None:
    task = tiny_task(epochs=2)
    found = run("lamp_by_cost", 0, task)
    for level in found["levels"]:
        assert 0 <= level["asked"] - level["macs"] < 36 / 1728  # one weight of the convolution
        assert 0 <= level["test_accuracy"] <= 1
    assert found["train_samples"] == 50 * (2 + 2 * 13)
    for seed, accuracy in enumerate((0.8, 0.9)):
        levels = [{"test_accuracy": accuracy + k / 100} for k in range(3)]
        (tmp_path / f"lamp-{seed}.json").write_text(json.dumps({"levels": levels}))
        (tmp_path / f"lamp_by_cost-{seed}.json").write_text(json.dumps({"levels": levels[:1] * 3}))
    lines = table(tmp_path).splitlines()
    assert lines[2:] == [
        "| lamp | 2 | 85.0 | 86.0 | 87.0 | 86.0 | 7.07 |",
        "| lamp_by_cost | 2 | 85.0 | 85.0 | 85.0 | 85.0 | 7.07 |",
    ]
