"""The benchmark at equal multiply-adds: where its descents pass, and what its table says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.search import sized
from benchmarks.search.sized import Descent, run_sized
from benchmarks.search.sized_report import sized_table
from benchmarks.search.sized_tasks import SIZED
from tests.pruning.tiny import tiny_task


def test_between_two_networks_a_descent_lies_on_a_line_over_the_logarithm() -> None:
    descent = Descent([0.8, 0.4, 0.1], [0.9, 0.8, 0.4])
    assert descent.at(0.4, descent.validation) == pytest.approx(0.8)
    assert descent.at(0.2, descent.validation) == pytest.approx(0.6)
    assert descent.at(0.2, [0.0, 0.0, 1.0]) == pytest.approx(0.5)
    assert math.isnan(descent.at(0.05, descent.validation))


@pytest.mark.parametrize("name", SIZED["cnn-macs"].rivals)
def test_a_rival_goes_down_by_fifths_of_the_multiply_adds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Descent] = []
    taken = Descent.at

    def at(self: Descent, size: float, accuracies: list[float]) -> float:
        seen.append(self)
        return taken(self, size, accuracies)

    monkeypatch.setattr(Descent, "at", at)
    setting = replace(SIZED["cnn-macs"], task=lambda: tiny_task(epochs=2))
    monkeypatch.setitem(sized.SIZED, "cnn-macs", setting)
    found = run_sized(name, "cnn-macs", 0)
    assert [level["asked"] for level in found["levels"]] == [0.2, 0.1, 0.05]
    assert 0 <= found["levels"][0]["test"] <= 1
    epochs = setting.rivals[name].get("retrain_epochs", 2)
    assert found["samples"] == 50 * (2 + epochs * 14)
    wanted = [0.8 ** (k + 1) for k in range(14)]
    assert seen[0].macs == pytest.approx(wanted, abs=0.03)  # its weights are few


def test_what_the_search_had_at_each_stage_stands_below_it_and_its_own_descents_among_the_rivals(
    tmp_path: Path,
) -> None:
    def of(tests: float, samples: int) -> dict[str, Any]:
        return {"levels": [{"test": tests}] * 3, "samples": samples}

    run = of(0.9, 2_000_000)
    run["stages"] = [{"stage": "textbook", **of(0.8, 1_000_000)}, {"stage": "finals", **run}]
    run["members"] = {"lamp": of(0.8, 1_000_000)}
    (tmp_path / "product-0.json").write_text(json.dumps(run))
    rows = [row for row in sized_table(SIZED["cnn-macs"], tmp_path).splitlines() if "0.0 |" in row]
    assert [row.split(" | ")[0] for row in rows] == ["| lamp", "| product", "| up to textbook"]
    assert "| +10.0 | 1 of 1 |" in rows[0]
    assert "| 1.00 M | 80.0 | 80.0 | 80.0 | 80.0 |" in rows[2]


def test_the_table_sets_the_search_beside_each_rival(tmp_path: Path) -> None:
    for name, tests in (("lamp", (0.8, 0.9)), ("product", (0.82, 0.91)), ("erk", (0.7,))):
        for seed, test in enumerate(tests):
            levels = [{"test": test + k / 100} for k in range(3)]
            path = tmp_path / f"{name}-{seed}.json"
            path.write_text(json.dumps({"levels": levels, "samples": 500_000}))
    assert sized_table(SIZED["cnn-macs"], tmp_path).splitlines()[4:] == [
        "| erk | 1 | 0.50 M | 70.0 | 71.0 | 72.0 | 71.0 | +12.0 | 1 of 1 |",
        "| lamp | 2 | 0.50 M | 85.0 | 86.0 | 87.0 | 86.0 | +1.5 ± 0.5 | 2 of 2 |",
        "| product | 2 | 0.50 M | 86.5 | 87.5 | 88.5 | 87.5 |  |  |",
    ]
