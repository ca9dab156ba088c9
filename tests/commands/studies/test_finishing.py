"""What follows a search, on a real study."""

import json
import shutil
from pathlib import Path

import pytest

from analysis import load
from analysis.judging.reported import headline_networks, networks_to_test
from study.commands.studies.finishing import finish
from study.configuration.loading import load_config, to_toml
from study.pruning import PruningPlan, run_pipeline
from study.records import CONTROLS
from study.storage import Folder
from study.tasks import evaluate, load_task
from study.tuning.afterwards.held_out import read_test
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


@pytest.fixture
def copied(small_study: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    return folder


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]


def test_the_test_split_is_read_once_for_each_network_that_is_reported(copied: Path) -> None:
    folder, config = Folder(str(copied)), load_config(SMALL)
    said: list[str] = []
    assert finish(folder, config, said.append) == f"{copied}/report.html"
    named = [(line["trial_id"], line["round"]) for line in lines_of(copied)]
    assert named == networks_to_test(load(copied))
    finish(folder, config, said.append)
    assert len(lines_of(copied)) == len(named)
    rounds = load(copied).rounds.set_index(["trial_id", "round"])["test_accuracy"].dropna()
    assert sorted(rounds.index) == sorted(named)
    assert list(rounds[named]) == [line["test_accuracy"] for line in lines_of(copied)]


def test_the_figures_are_those_of_the_network_on_the_test_split(copied: Path) -> None:
    task = load_task(**load_config(SMALL).task.load_arguments())
    networks = networks_to_test(load(copied))[:3]
    records = read_test(Folder(str(copied)), load_config(SMALL), networks)
    for record in records:
        plan = PruningPlan.model_validate_json(
            (copied / "trials" / record.trial_id / "plan.json").read_text()
        )

        class AtTheRound:
            found = float("nan")

            def checkpoint(self, progress: object) -> None: ...

            def round_finished(self, finished: object, masked: object, progress: object) -> None:
                if finished.round == record.round:  # type: ignore[attr-defined] # noqa: B023
                    test = task.data.load_test()
                    self.found = evaluate(masked.model, test, task).metrics["accuracy"]  # type: ignore[attr-defined]

        observer = AtTheRound()
        list(run_pipeline(plan, task, observer=observer))  # type: ignore[arg-type]
        assert record.test_accuracy == observer.found


def test_controls_of_a_named_network_stand_beside_its_replicates(copied: Path) -> None:
    tables = {
        **SMALL,
        "confirm": {"share": 0.9, "seeds": 2, "tolerances": [0.6]},
        "report": {"controls": True, "control_seeds": 1, "test": False},
    }
    config = load_config(tables)
    (copied / "study.toml").write_text(to_toml(config))
    said: list[str] = []
    finish(Folder(str(copied)), config, said.append)
    results = load(copied)
    ((trial, round_),) = headline_networks(results)
    assert said[-1] == f"running the controls of trial {trial}, round {round_}"
    assert not (copied / "test.jsonl").exists()
    again = results.trials[results.trials["replicate_of"] == trial]
    assert sorted(again["seed"]) == [1, 2]  # its controls ran no replicate of their own
    controls = results.controls
    assert sorted(controls["role"]) == sorted(CONTROLS)
    assert set(controls["of"]) == {trial}
    assert set(controls["round"]) == {round_}
    assert set(controls["seed"]) == {1}
    assert set(controls["replicate"]) == set(again.loc[again["seed"] == 1, "trial_id"])
    assert controls["val_accuracy"].notna().all()
