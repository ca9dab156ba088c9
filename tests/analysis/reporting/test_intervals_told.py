"""How sure the report says that its figures are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy import stats

import analysis
from analysis.reporting.sections.controls import selection
from analysis.reporting.sections.layers import layers
from tests.analysis.study_folders import AVERAGE_PRECISION, new_study


@pytest.mark.parametrize(("seeds", "said"), [(1, "One seed: no interval."), (4, "over 4 seeds")])
def test_what_a_layer_takes_is_told_with_its_interval_or_that_there_is_none(
    tmp_path: Path, seeds: int, said: str
) -> None:
    study = new_study(tmp_path)
    study.sensitivity(seeds=seeds)
    study.trial("0000", rounds=1)
    results = analysis.load(tmp_path)
    finding = layers(results).figures[0].finding
    assert said in finding
    row = analysis.sensitivity_thresholds(results, 0.02).iloc[0]
    share = f"{100 * row['sparsity']:.0f} %"
    if seeds > 1:
        share += f", interval {100 * row['low']:.0f} to {100 * row['high']:.0f} %"
    assert f"({share})" in finding


def test_a_layer_that_never_passes_the_drop_takes_at_least_so_much(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.sensitivity(levels=(0.0, 0.1), seeds=3)
    study.trial("0000", rounds=1)
    finding = layers(analysis.load(tmp_path)).figures[0].finding
    assert "(at least 10 %)" in finding


def test_an_accuracy_on_the_test_split_has_wilsons_interval(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", rounds=2)
    line = {"trial_id": "0000", "round": 2, "test_accuracy": 0.97, "test_loss": 0.1,
            "examples": 300}  # fmt: skip
    study.folder.append_line(json.dumps(line), "test.jsonl")
    text = " ".join(selection(analysis.load(study.path)).sentences)
    ends = stats.binomtest(291, 300).proportion_ci(0.95, method="wilson")
    assert (
        f"has 300 examples, so one accuracy of 97.0 % is known to be {100 * ends.low:.1f} to "
        f"{100 * ends.high:.1f} % (95 % interval)"
    ) in text


def test_of_a_share_that_is_not_of_examples_their_number_says_nothing(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", metrics=(AVERAGE_PRECISION,))
    study.trial("0000", rounds=2)
    line = {"trial_id": "0000", "round": 2, "test_average_precision": 0.9, "test_loss": 0.1,
            "examples": 300}  # fmt: skip
    study.folder.append_line(json.dumps(line), "test.jsonl")
    text = " ".join(selection(analysis.load(study.path)).sentences)
    assert "The test split was read once" in text
    assert "is known to" not in text
