from pathlib import Path

import pytest

import analysis
from analysis.judging.learnt import moved_layers, plan_differences
from tests.analysis.study_folders import new_study


def test_what_one_plan_has_and_another_has_not(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=4, sparsity=0.9, allocation="lamp", seed=1)
    study.trial(
        "0001", rounds=3, sparsity=0.9, allocation="lamp", seed=2, saliency="taylor",
        score_offsets={"fc1": -0.7, "fc2": 0.2},
    )  # fmt: skip
    results = analysis.load(tmp_path)
    assert plan_differences(results, "0001", "0000") == {
        "rounds": (3, 4),
        "saliency": ("taylor", "magnitude"),
    }
    assert plan_differences(results, "0000", "0000") == {}
    assert list(moved_layers(results, "0001").items()) == [
        ("fc1", pytest.approx(-0.7)),
        ("fc2", pytest.approx(0.2)),
    ]
    assert moved_layers(results, "0000") == {}
