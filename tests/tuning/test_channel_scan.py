"""Studies that scan channels before they search."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest

import analysis
import study
from study.records import RoundRecord
from study.storage import Folder
from study.tuning.afterwards.conditional_scan import scan_round
from tests.conftest import SMALL

pytestmark = pytest.mark.slow

LEVELS = [0.0, 0.25, 0.5, 0.75, 0.9]
SPACE: dict[str, Any] = {
    "structure": "channels", "saliency": "taylor", "rounds": [1, 2], "retrain": "finetune",
    "retrain_epochs": 1,
}  # fmt: skip


def run(where: Path, space: dict[str, Any], **sensitivity: object) -> Path:
    tables = {
        **SMALL,
        "space": {**SPACE, **space},
        "study": {"name": "channels", "num_samples": 4},
        "sensitivity": {"levels": LEVELS, **sensitivity},
    }
    return Path(study.run(tables, storage_path=where))


def plans(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "trials").glob("*/plan.json"))
    return [json.loads(path.read_text()) for path in paths]


@pytest.fixture(scope="module")
def by_scan(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = {"allocation": "sensitivity", "density": [0.2, 0.8]}
    return run(tmp_path_factory.mktemp("by_scan"), space, seeds=2)


def test_plans_go_by_the_mean_of_the_scan(by_scan: Path) -> None:
    scan = pd.read_parquet(by_scan / "sensitivity.parquet")
    assert sorted(scan["seed"].unique()) == [0, 1]
    assert len(scan) == 2 * 2 * len(LEVELS)
    own = plans(by_scan)
    assert len(own) == 4
    for plan in own:
        assert plan["allocation"] == "sensitivity"
        assert set(plan["scanned_drops"]) == {"fc1", "fc2"}
        for layer, curve in plan["scanned_drops"].items():
            for level, drop in curve:
                at = scan[(scan["layer"] == layer) & (scan["sparsity"] == level)]
                assert drop == pytest.approx(fmean(at["accuracy_drop"]))


def test_the_scan_is_read_charged_and_reported(by_scan: Path, tmp_path: Path) -> None:
    results = analysis.load(by_scan)
    table = analysis.narrowing_data(results)
    assert table["units_left"].tolist() == [24, 18, 12, 6, 2, 16, 12, 8, 4, 2]
    row = table[(table["layer"] == "fc1") & (table["units_left"] == 12)].iloc[0]
    assert row["macs_saved"] == 12 * (64 + 16)
    assert row["parameters_saved"] == 12 * (64 + 1 + 16)
    assert analysis.cost_summary(results)["scan_train_samples"] > 0
    page = Path(analysis.write_report(results, tmp_path / "report.html")).read_text()
    worth = analysis.pruning_worth(results, "macs", drop=0.02)
    good = int((worth["within"].astype("bool") & (worth["saved"] > 0)).sum())
    told = ("Nothing is saved within", "One set of channels alone saves", "narrowing pays most in")
    assert [text in page for text in told] == [place == min(good, 2) for place in range(3)]
    assert "takes the most of its channels" in page


def test_a_network_of_the_study_can_be_scanned_further(by_scan: Path) -> None:
    rounds = (by_scan / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()
    record = RoundRecord.model_validate_json(rounds[-1])
    left = {each.layer: each.outputs - each.dead_outputs for each in record.layers}
    for scanned in scan_round(Folder(str(by_scan)), "0000"):
        assert scanned.macs == pytest.approx(record.macs)
        assert scanned.units_left is not None
        assert scanned.units_left <= left[scanned.layer]
        if scanned.units_left == left[scanned.layer]:
            assert (scanned.val_accuracy, scanned.accuracy_drop) == (record.val_accuracy, 0)


def test_a_level_for_each_set_ends_where_the_scan_says(ray_cluster: None, tmp_path: Path) -> None:
    space = {"form": "per_layer", "per_layer": {"bounds": "sensitivity"}}
    folder = run(tmp_path, space, tolerated_drop=0.3)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (bounded,) = (each for each in events if each["event"] == "space_bounded")
    highest = bounded["detail"]["highest_sparsity"]
    assert set(highest) == {"fc1", "fc2"}
    for plan in plans(folder):
        assert plan["allocation"] == "per_layer"
        assert all(plan["sparsity"][name] <= high for name, high in highest.items())
    results = analysis.load(folder)
    last = results.layers[results.layers["round"] > 0]
    merged = last.merge(results.trials[["trial_id"]], on="trial_id")
    assert merged["requested_sparsity"].notna().all()
    # A share of 24 or 16 units is at most half a unit off, on both sides of a layer.
    assert (merged["requested_sparsity"] - (1 - merged["density"])).abs().max() < 0.1
