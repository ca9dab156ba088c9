from __future__ import annotations

from pathlib import Path

import analysis
from tests.analysis.study_folders import new_study, searched_study


def _statuses(results: analysis.Results) -> dict[str, str]:
    table = analysis.checklist_frame(results)
    words = ("architecture", "pairs", "speedup", "top-1 and top-5", "control", "five points",
             "deviation", "libraries", "raw", "random", "test data", "failed")  # fmt: skip
    found = {}
    for word in words:
        rows = table[table["name"].str.contains(word)]
        assert len(rows) == 1, word
        found[word] = rows["status"].iloc[0]
    assert len(found) == len(table)
    return found


def test_a_thorough_study_passes_what_one_study_can(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for seed in range(3):
        for saliency in ("magnitude", "random"):
            for sparsity in (0.5, 0.75, 0.875, 0.9375, 0.96875):
                study.trial(
                    f"{saliency}-{sparsity}-{seed}", rounds=1, sparsity=sparsity, seed=seed,
                    saliency=saliency, accuracy=0.9 - 0.1 * sparsity,
                )  # fmt: skip
    statuses = _statuses(analysis.load(tmp_path))
    warned = {word for word, status in statuses.items() if status != "PASS"}
    assert warned == {"pairs", "top-1 and top-5"}


def test_what_is_missing_comes_with_a_reason_and_a_remedy(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=6))
    statuses = _statuses(results)
    assert statuses["deviation"] == "FAIL"
    assert statuses["failed"] == "WARN"
    for check in analysis.checklist(results):
        assert check.reason
        assert check.status == "PASS" or check.remedy


def test_mnist_is_no_pair_and_fashion_mnist_is(tmp_path: Path) -> None:
    def pairs(dataset: str) -> str:
        study = new_study(tmp_path / dataset, name=dataset)
        text = (tmp_path / dataset / "study.toml").read_text().replace("mnist5k", dataset)
        study.folder.write(text, "study.toml")
        results = analysis.load(study.path)
        return next(c.reason for c in analysis.checklist(results) if "pairs" in c.name)

    assert pairs("mnist5k").startswith("0 of 3")
    assert pairs("fashion_mnist").startswith("1 of 3")
    assert pairs("digits").startswith("1 of 3")


def test_reading_test_data_for_everything_is_warned_of(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=3)
    results = analysis.load(tmp_path)
    results.rounds["test_accuracy"] = results.rounds["val_accuracy"] - 0.01
    assert _statuses(results)["test data"] == "WARN"
    assert analysis.mean_gap(results).mean == analysis.validation_gap(results)["gap"].mean()


def test_an_empty_study_fails_without_an_error(tmp_path: Path) -> None:
    new_study(tmp_path)
    statuses = _statuses(analysis.load(tmp_path))
    assert statuses["five points"] == "FAIL"
    assert statuses["control"] == "FAIL"
