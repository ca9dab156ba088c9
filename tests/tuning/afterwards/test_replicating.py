"""Replicates and controls of a point, on a real Ray."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from analysis import load
from study import run
from study.configuration.loading import load_config
from study.errors import UsageError
from study.pruning import PruningPlan, run_pipeline
from study.records import Origin, RoundRecord, TrialOutcome
from study.storage import Folder
from study.tasks import load_task
from study.tuning.afterwards.points import find_point
from study.tuning.afterwards.replicating import _run_seed, replicate, unpruned
from tests.conftest import SMALL


def folder_of(study: Path, name: str) -> Path:
    is_control = name.endswith(("reinit", "shuffled", "dense"))
    return study / ("controls" if is_control else "trials") / name


def rounds_of(study: Path, trial: str) -> list[RoundRecord]:
    lines = (folder_of(study, trial) / "rounds.jsonl").read_text().splitlines()
    return [RoundRecord.model_validate_json(line) for line in lines]


@pytest.fixture(scope="module")
def replicated(
    small_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[str]]:
    """A copy of the small study, a trial of at least two rounds, and its replicates."""
    folder = tmp_path_factory.mktemp("replicated") / "small"
    shutil.copytree(small_study, folder)
    study = Folder(str(folder))
    trial = next(t for t in study.folders("trials") if len(rounds_of(folder, t)) > 2)
    told: list[str] = []
    made = replicate(study, find_point(study, trial, 2), 2, told.append).made
    assert sorted(told) == made
    return folder, trial, made


@pytest.mark.slow
def test_each_seed_has_a_replicate_and_three_controls(
    replicated: tuple[Path, str, list[str]],
) -> None:
    folder, trial, made = replicated
    assert len(made) == 8
    roles = []
    for name in made:
        origin = Origin.model_validate_json((folder_of(folder, name) / "origin.json").read_text())
        outcome = TrialOutcome.model_validate_json(
            (folder_of(folder, name) / "outcome.json").read_text()
        )
        assert (origin.of, origin.round) == (trial, 2)
        assert (outcome.status, outcome.rounds_finished) == ("completed", 2)
        assert [record.round for record in rounds_of(folder, name)] == [0, 1, 2]
        roles.append(origin.role)
    assert sorted(roles) == sorted(["replicate", "reinit", "shuffled", "dense"] * 2)


@pytest.mark.slow
def test_a_replicate_is_the_plan_on_another_seed(replicated: tuple[Path, str, list[str]]) -> None:
    folder, trial, made = replicated
    task = load_task(**load_config(SMALL).task.load_arguments())
    plan = PruningPlan.model_validate_json((folder / f"trials/{trial}/plan.json").read_text())
    alone = list(run_pipeline(plan.model_copy(update={"seed": 1}), task))
    recorded = rounds_of(folder, made[0])
    assert [r.mask_hash for r in alone[:3]] == [r.mask_hash for r in recorded]
    assert [r.val_accuracy for r in alone[:3]] == [r.val_accuracy for r in recorded]


@pytest.mark.slow
def test_controls_differ_from_the_replicate_in_what_they_control(
    replicated: tuple[Path, str, list[str]],
) -> None:
    folder, _, made = replicated
    replicate_, dense, reinit, shuffled = (rounds_of(folder, name)[-1] for name in made[:4])
    assert reinit.mask_hash == replicate_.mask_hash
    assert reinit.val_loss != replicate_.val_loss
    assert shuffled.mask_hash != replicate_.mask_hash
    kept = [layer.kept for layer in replicate_.layers]
    assert [layer.kept for layer in shuffled.layers] == kept
    assert dense.density == 1.0
    assert dense.train_epochs == pytest.approx(replicate_.train_epochs)
    assert {r.seed for r in (replicate_, dense, reinit, shuffled)} == {1}
    one, other = (
        load_file(str(folder_of(folder, name) / "round_02.safetensors")) for name in made[:3:2]
    )
    assert all((one[k] == other[k]).all() for k in one if k.startswith("mask."))
    assert any((one[k] != other[k]).any() for k in one if k.startswith("model."))


@pytest.mark.slow
def test_a_seed_that_was_run_is_not_run_again(replicated: tuple[Path, str, list[str]]) -> None:
    folder, trial, _ = replicated
    study = Folder(str(folder))
    more = replicate(study, find_point(study, trial, 2), 3, lambda _: None).made
    assert len(more) == 4
    assert all("seed-3" in name for name in more)


def test_a_control_that_fails_is_on_record_and_its_seed_is_given_up(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    study = Folder(str(folder))
    trial = study.folders("trials")[0]

    def fail_when_shuffled(plan: PruningPlan, *rest: Any) -> Iterator[RoundRecord]:
        if plan.shuffle_masks:
            raise ValueError("no such luck")
        return run_pipeline(plan, *rest)

    monkeypatch.setattr("study.tuning.afterwards.replicating.run_pipeline", fail_when_shuffled)
    ended = _run_seed(str(folder), find_point(study, trial, 1), 7)
    name = f"{trial}-round-1-seed-7"
    assert ended == [(name, True), (f"{name}-reinit", True), (f"{name}-shuffled", False)]
    place = folder_of(folder, f"{name}-shuffled")
    outcome = TrialOutcome.model_validate_json((place / "outcome.json").read_text())
    assert (outcome.status, outcome.error) == ("errored", "ValueError: no such luck")
    assert "fail_when_shuffled" in (place / "error.txt").read_text()
    assert load(folder).controls["role"].tolist() == ["reinit"]


@pytest.mark.parametrize("way", ["finetune", "lr_rewind", "weight_rewind", "reinit"])
def test_the_unpruned_control_trains_as_long(way: str) -> None:
    rewind = {"rewind_epoch": 1.0} if "weight" in way else {}
    plan = PruningPlan.model_validate(
        {"sparsity": {"*": 0.9}, "rounds": 2, "retrain": way, **rewind}
    )
    task = load_task(**load_config(SMALL).task.load_arguments())
    own, control = list(run_pipeline(plan, task)), list(run_pipeline(unpruned(plan), task))
    assert [r.train_samples for r in own] == [r.train_samples for r in control]
    assert control[-1].density == 1.0


def test_no_seeds_are_refused(tmp_path: Path) -> None:
    study = Folder(str(tmp_path))
    with pytest.raises(UsageError, match="holds no study"):
        find_point(study, "0000")


@pytest.mark.slow
def test_new_weights_are_no_control_where_a_checkpoint_was_pruned(
    ray_cluster: None, tmp_path: Path
) -> None:
    model = load_task(**load_config(SMALL).task.load_arguments()).build_model()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    tables = {
        "study": {"name": "checkpoint", "num_samples": 1},
        "task": {**SMALL["task"], "epochs": 0, "weights": str(tmp_path / "weights.safetensors")},
        "space": {"rounds": 1, "retrain": "finetune", "retrain_epochs": 1},
    }
    folder = run(tables, storage_path=tmp_path)
    point = find_point(Folder(folder), Folder(folder).folders("trials")[0], 1)
    ended = _run_seed(folder, point, 7)
    assert [name.partition("-seed-7")[2] for name, _ in ended] == ["", "-shuffled", "-dense"]
    assert all(is_well for _, is_well in ended)
