"""Small studies that used to die, or to mix, for what was known before they began."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import study
from tests.conftest import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def tables(**study_table: Any) -> dict[str, Any]:
    task = {**SMALL["task"], "model_options": {"widths": [8]}, "epochs": 1}
    space = {"rounds": 1, "retrain": "finetune", "retrain_epochs": 0}
    return {**SMALL, "study": study_table, "task": task, "space": space}


def test_stepped_ranges_are_searched_at_the_numbers_that_were_written(tmp_path: Path) -> None:
    steps = {"low": 0.1, "high": 0.3, "step": 0.1}  # 0.1 + 2 * 0.1 is not 0.3
    space = {"rounds": [1, 3], "retrain": "weight_rewind", "retrain_epochs": steps,
             "rewind_epoch": steps}  # fmt: skip
    made = Path(
        study.run({**tables(name="stepped", num_samples=8), "space": space}, storage_path=tmp_path)
    )
    plans = [json.loads(plan.read_text()) for plan in sorted(made.glob("trials/*/plan.json"))]
    assert len(plans) == 8
    for field in ("retrain_epochs", "rewind_epoch"):
        drawn = {plan[field] for plan in plans}
        assert drawn <= {0.1, 0.2, 0.3}
        assert len(drawn) > 1


def test_of_two_studies_in_threads_of_a_process_both_run_and_mix_nothing(tmp_path: Path) -> None:
    def run(name: str) -> str:
        return study.run(tables(name=name, num_samples=2), storage_path=tmp_path)

    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(run, ("one", "other")))
    assert made == [str(tmp_path / "one"), str(tmp_path / "other")]
    for folder in map(Path, made):
        assert len(list(folder.glob("trials/*/rounds.jsonl"))) == 2
        lines = (folder / "events.jsonl").read_text().splitlines()
        events = [json.loads(line)["event"] for line in lines]
        assert (events[0], events[-1]) == ("study_started", "study_finished")
