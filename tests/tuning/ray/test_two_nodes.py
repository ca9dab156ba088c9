"""Two real nodes: what fits on them, what is sent to them, and that one of them may be lost."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.processes import alone

CHANGES = (
    "study.num_samples=2", "space.rounds=2", "space.retrain_epochs=25", "space.rewind_epoch=1",
    'space.schedule="geometric"', "search.textbook=false", "search.warm_start=[]",
    'search.early_stopping="none"', "sensitivity.scan=false", "confirm.share=0",
    "report.controls=false", "task.epochs=3", "task.batch_size=16",
    "resources.checkpoint_interval_s=0.3",
)  # fmt: skip


Ended = tuple[dict[str, Any], str, Path]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """What was said there, and what of trials of so many CPUs; the folder of the study."""
    folder = tmp_path_factory.mktemp("two") / "two"
    command = [
        sys.executable, "-m", "study.cli", "run", "digits-mlp", "--name", "two",
        "--storage-path", str(folder.parent),
        *(word for change in CHANGES for word in ("--set", change)),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.tuning.ray.two_nodes", str(folder), *command],
        env=alone(), capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said, _, rest = done.stdout.partition("\n")
    return json.loads(said), rest, folder


def test_a_trial_of_two_cpus_is_refused_where_two_nodes_have_one_each(ended: Ended) -> None:
    refused = r"no node of the cluster has 2 CPUs and 0 GPUs.*1 CPUs.*1 CPUs"
    assert re.search(refused, ended[0]["2"])


@pytest.mark.parametrize(("cpus", "fit"), [(1, 2), (0.6, 2), (0.1, 20), (0.35, 4)])
def test_trials_that_fit_are_counted_by_node(ended: Ended, cpus: float, fit: int) -> None:
    assert ended[0][str(cpus)] == [{"cpu": cpus, "gpu": 0}, fit]


def test_two_nodes_get_the_users_modules_and_go_on_when_one_is_switched_off(ended: Ended) -> None:
    _, said, folder = ended
    assert said.startswith("a worker imported 7\n")
    assert "a node was switched off" in said
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    starts = Counter(e["trial_id"] for e in events if e["event"] == "trial_started")
    assert sorted(starts.values()) == [1, 2]
    # None was told twice: it went on from its checkpoint, and did not begin again.
    told = Counter(
        (e["trial_id"], e["detail"]["round"]) for e in events if e["event"] == "round_finished"
    )
    assert told == {(trial, round_): 1 for trial in starts for round_ in range(3)}
    for trial in starts:
        lines = (folder / "trials" / trial / "rounds.jsonl").read_text().splitlines()
        assert [json.loads(line)["round"] for line in lines] == [0, 1, 2]
        outcome = json.loads((folder / "trials" / trial / "outcome.json").read_text())
        assert outcome["status"] == "completed"
