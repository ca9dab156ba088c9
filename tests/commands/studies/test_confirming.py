"""What a search found, run again on new seeds: on a real study."""

import json
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from click.testing import CliRunner

import analysis
import study
from analysis.spending.cost import cost_summary
from analysis.statistics.replicates import searched
from study.cli import main
from study.commands.studies import confirming
from study.configuration.loading import load_config
from study.owners import holder
from study.pruning import PruningPlan, mask_layers
from study.pruning.states.state_files import load_weights
from study.storage import Folder
from study.tasks import evaluate, load_task
from study.tuning.afterwards.replicating import Replicated
from tests.conftest import SMALL, environment

pytestmark = pytest.mark.slow

CONFIRMED = {
    **SMALL,
    "search": {"textbook": True},
    "confirm": {"share": 0.5, "seeds": 2, "tolerances": [0.05, 0.6], "held_back": 0.5},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    return Path(study.run(CONFIRMED, storage_path=tmp_path_factory.mktemp("confirmed")))


def test_the_search_does_not_see_what_is_held_back(place: Path) -> None:
    config = load_config(tomllib.loads((place / "study.toml").read_text()))
    whole = load_task(**config.task.load_arguments()).data.validation
    data = load_task(**config.task_arguments()).data
    assert data.confirmation is not None
    assert len(data.validation) + len(data.confirmation) == len(whole)
    results = analysis.load(place)
    assert set(results.confirmation["examples"]) == {len(data.confirmation)}
    assert results.confirmation["held_back"].all()
    steps = results.rounds["val_accuracy"] * len(data.validation)
    np.testing.assert_allclose(steps, steps.round(), atol=1e-6)


def test_a_descent_is_run_again_as_a_whole_within_the_budget(place: Path) -> None:
    results = analysis.load(place)
    own = searched(results)
    again = results.trials[results.trials["replicate_of"].notna()]
    assert len(again) >= 2
    assert not set(again["seed"]) & set(own.trials["seed"])
    spent = cost_summary(results)["spent_train_samples"]
    searching = cost_summary(own)["spent_train_samples"]
    assert spent - searching <= searching * 1.0 + 1  # half of all
    for of, runs in results.confirmation.groupby(
        results.confirmation["trial_id"].map(results.trials.set_index("trial_id")["replicate_of"])
    ):
        rounds = runs.groupby("seed")["round"].apply(sorted)
        assert all(each == list(range(len(each))) for each in rounds), of


def test_what_was_confirmed_is_of_the_share_of_a_study_that_is_resumed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    config = load_config(tomllib.loads((copy / "study.toml").read_text()))
    said: list[str] = []
    monkeypatch.setattr(confirming, "replicate", lambda *_, **__: Replicated())
    confirming.confirm(Folder(copy), config, said.append)
    assert said == []
    for again in copy.glob("trials/*-seed-*"):
        shutil.rmtree(again)
    confirming.confirm(Folder(copy), config, said.append)
    assert said[0].startswith("confirming trial ")


def test_what_confirms_is_what_the_stored_network_does_on_these_examples(place: Path) -> None:
    config = load_config(tomllib.loads((place / "study.toml").read_text()))
    task = load_task(**config.task_arguments())
    results = analysis.load(place)
    row = results.confirmation[results.confirmation["round"] > 0].iloc[0]
    folder = place / "trials" / row["trial_id"]
    plan = PruningPlan.model_validate_json((folder / "plan.json").read_text())
    torch.manual_seed(0)
    model = task.build_model()
    masked = mask_layers(model, plan.include or None, plan.exclude or None)
    load_weights(masked, (folder / f"round_{row['round']:02d}.safetensors").read_bytes())
    found = evaluate(model, task.data.confirms, task)
    assert row["confirm_accuracy"] == pytest.approx(found.metrics["accuracy"])
    assert row["confirm_loss"] == pytest.approx(found.loss, rel=1e-5)


def test_the_command_goes_on_with_what_the_report_waits_for(place: Path) -> None:
    before = analysis.load(place)
    answer = CliRunner().invoke(main, ["confirm", str(place), "--format", "json"])
    assert answer.exit_code == 0, answer.output
    after = analysis.load(place)
    told = json.loads(answer.stdout)
    assert len(after.trials) >= len(before.trials)
    assert {row["trial_id"] for row in told} == set(analysis.confirmed_networks(after)["trial_id"])
    assert (place / "report.html").exists()
    named = analysis.named_networks(after).dropna(subset=["trial_id"])
    assert named["test_drop"].notna().all()


def test_a_trial_can_be_given_more_seeds(place: Path) -> None:
    trial = analysis.confirmed_networks(analysis.load(place))["trial_id"].iloc[0]
    asked = ["--trial", trial, "--round", "1", "--seeds", "3", "--no-report", "--quiet"]
    answer = CliRunner().invoke(main, ["confirm", str(place), *asked])
    assert answer.exit_code == 0, answer.output
    table = analysis.confirmed_networks(analysis.load(place))
    assert table[(table["trial_id"] == trial) & (table["round"] == 1)]["n"].item() == 3


def test_a_signal_ends_it_and_all_that_it_began(place: Path, tmp_path: Path) -> None:
    """By a signal that Ray's own code would answer with a trace; nobody goes on with its work."""
    folder = shutil.copytree(place, tmp_path / "s")
    plan = json.loads((folder / "trials" / "0001" / "plan.json").read_text())
    long = json.dumps({**plan, "retrain_epochs": 100_000})
    (folder / "trials" / "0001" / "plan.json").write_text(long)
    before, owners = {*folder.glob("trials/*")}, len([*folder.glob("owners/????.json")])
    command = [sys.executable, "-m", "study.cli", "confirm", str(folder), "--trial", "0001"]
    own: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment(), **own) as process:
        ends = time.monotonic() + 120
        while not (begun := {*folder.glob("trials/*")} - before):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < ends
            time.sleep(0.05)
        process.terminate()
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 143
    assert said.splitlines()[1:] == ["prune-study: interrupted; what was finished is kept"]
    held = holder(Folder(folder))
    assert held is not None
    assert (held.number, held.standing) == (owners + 1, "finished")
    while ray.available_resources().get("CPU") != 2.0:  # no worker has it
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert not any((each / "outcome.json").exists() for each in begun)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "3"], "give --trial too"),
        (["--trial", "0000", "--seeds", "1"], "needs at least 2"),
        (["--trial", "9999"], "unknown name '9999'"),
        (["--trial", "0000", "--round", "99"], "has no round 99"),
    ],
)
def test_bad_options_are_named(place: Path, options: list[str], message: str) -> None:
    answer = CliRunner().invoke(main, ["confirm", str(place), *options])
    assert answer.exit_code == 2
    assert message in answer.output


def test_a_share_of_nothing_confirms_nothing(small_study: Path) -> None:
    results = analysis.load(small_study)
    assert results.confirmation.empty
    report = analysis.write_report(results, small_study / "named.md")
    assert "share is 0" in Path(report).read_text()
