"""Replicates and controls of a point, on a real Ray."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ray.exceptions import OutOfMemoryError, WorkerCrashedError
from safetensors.torch import save_file

from analysis import load
from analysis.reporting.sections.controls import controls
from study import run
from study.commands.replicate import replicate as replicate_command
from study.configuration.loading import load_config
from study.errors import UsageError
from study.pruning import PruningPlan, run_pipeline
from study.records import CONTROLS, Origin, RoundRecord, TrialOutcome
from study.storage import Folder
from study.tasks import load_task
from study.tuning.afterwards.points import find_point, new_seeds
from study.tuning.afterwards.replicating import _Run, _run_seed, replicate
from tests.conftest import SMALL


def folder_of(study: Path, name: str) -> Path:
    is_control = name.endswith(CONTROLS)
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
    made = replicate(study, find_point(study, trial, 2), [1, 2], told.append).made
    assert sorted(told) == made
    return folder, trial, made


@pytest.mark.slow
def test_each_seed_has_a_replicate_and_its_controls(
    replicated: tuple[Path, str, list[str]],
) -> None:
    folder, trial, made = replicated
    roles = []
    for name in made:
        origin = Origin.model_validate_json((folder_of(folder, name) / "origin.json").read_text())
        outcome = TrialOutcome.model_validate_json(
            (folder_of(folder, name) / "outcome.json").read_text()
        )
        assert (origin.of, origin.round, origin.left_out) == (trial, 2, None)
        own = [0, 1, 2] if origin.role in ("replicate", "dense") else [1]
        assert [record.round for record in rounds_of(folder, name)] == own
        assert (outcome.status, outcome.rounds_finished) == ("completed", own[-1])
        assert outcome.rounds_planned == own[-1]
        roles.append(origin.role)
    assert sorted(roles) == sorted(["replicate", *CONTROLS] * 2)


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
    network = rounds_of(folder, made[0])[-1]
    found = {role: rounds_of(folder, f"{made[0]}-{role}")[-1] for role in CONTROLS}
    kept = [layer.kept for layer in network.layers]
    for role in CONTROLS[:-1]:
        assert [layer.kept for layer in found[role].layers] == kept
        assert (found[role].mask_hash == network.mask_hash) == role.startswith("reinit")
    assert found["shuffled_initial"].mask_hash == found["shuffled_reinit"].mask_hash
    assert len({record.val_loss for record in [network, *found.values()]}) == 6
    assert found["dense"].density == 1.0
    epochs = {role: record.train_epochs for role, record in found.items()}
    assert epochs["dense"] == pytest.approx(network.train_epochs)
    assert epochs["reinit_long"] == pytest.approx(network.train_epochs)
    assert network.train_epochs > 4
    for role in ("reinit", "shuffled_initial", "shuffled_reinit"):
        assert epochs[role] == pytest.approx(4)  # the dense run's
    assert {record.seed for record in found.values()} == {1}


@pytest.mark.slow
def test_what_was_run_is_not_run_again(replicated: tuple[Path, str, list[str]]) -> None:
    folder, trial, _ = replicated
    study = Folder(str(folder))
    point = find_point(study, trial, 2)
    assert replicate(study, point, [1, 2], lambda _: None).made == []
    bare = replicate(study, point, [2, 5], lambda _: None, controls=False).made
    assert bare == [f"{trial}-round-2-seed-5"]
    more = replicate(study, point, [1, 5], lambda _: None).made
    assert more == sorted(f"{bare[0]}-{role}" for role in CONTROLS)


def test_only_the_control_that_is_missing_is_run(
    replicated: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, trial, made = replicated
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    name = f"{made[0]}-reinit_long"
    before = rounds_of(copy, name)
    shutil.rmtree(folder_of(copy, name))
    ended = _run_seed(str(copy), find_point(Folder(str(copy)), trial, 2), 1, True)
    assert ended == [(name, True)]
    assert [r.val_loss for r in rounds_of(copy, name)] == [r.val_loss for r in before]


@pytest.mark.slow
def test_networks_that_an_older_version_did_not_time_are_named_and_can_be_timed(
    replicated: tuple[Path, str, list[str]], tmp_path: Path
) -> None:
    folder, trial, made = replicated
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    command = [str(copy), f"--trial={trial}", "--round=2", "--seeds=2"]
    assert "no latency" not in CliRunner().invoke(replicate_command, command).stderr
    resolved = (copy / "study.toml").read_text()
    assert 'backend = "none"' in resolved
    (copy / "study.toml").write_text(resolved.replace('backend = "none"', 'backend = "eager"'))
    one, other = (name for name in made if not name.endswith(CONTROLS))
    answer = CliRunner().invoke(replicate_command, command)
    assert answer.exit_code == 0
    (said,) = [line for line in answer.stderr.splitlines() if "no latency on record" in line]
    assert said.startswith(f"prune-study: {trial}, {one}, {other}")
    shutil.rmtree(copy / "trials" / one)
    assert _run_seed(str(copy), find_point(Folder(str(copy)), trial, 2), 1, False) == [(one, True)]
    assert all(record.latency_ms > 0 for record in rounds_of(copy, one))
    said = CliRunner().invoke(replicate_command, command).stderr
    assert f"prune-study: {trial}, {other}" in said


def test_a_control_that_fails_is_on_record_and_keeps_no_other_back(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    study = Folder(str(folder))
    point = find_point(study, study.folders("trials")[0], 1)

    def fail_when_shuffled(plan: PruningPlan, *rest: Any) -> Iterator[RoundRecord]:
        if plan.shuffle_masks:
            raise ValueError("no such luck")
        return run_pipeline(plan, *rest)

    monkeypatch.setattr("study.tuning.afterwards.replicating.run_pipeline", fail_when_shuffled)
    ended = dict(_run_seed(str(folder), point, 7, True))
    name = f"{point.trial_id}-round-1-seed-7"
    failed = [f"{name}-shuffled_initial", f"{name}-shuffled_reinit"]
    assert ended == {
        name: True, **{f"{name}-{role}": f"{name}-{role}" not in failed for role in CONTROLS}
    }  # fmt: skip
    outcome = TrialOutcome.model_validate_json(
        (folder_of(folder, failed[0]) / "outcome.json").read_text()
    )
    assert (outcome.status, outcome.error) == ("errored", "ValueError: no such luck")
    assert "fail_when_shuffled" in (folder_of(folder, failed[0]) / "error.txt").read_text()
    monkeypatch.undo()
    assert _run_seed(str(folder), point, 7, True) == [(each, True) for each in failed]


def _nothing(*_: Any) -> list[tuple[str, bool]]:
    return []


@pytest.mark.slow
@pytest.mark.parametrize("error", [WorkerCrashedError(), OutOfMemoryError("no room")])
def test_a_replicate_whose_worker_is_killed_each_time_is_one_failed_trial(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    study = Folder(str(folder))
    point = find_point(study, study.folders("trials")[0], 1)
    monkeypatch.setattr("study.tuning.afterwards.replicating._run_seed", _nothing)

    def lost(*_: object) -> None:
        raise error

    monkeypatch.setattr("ray.get", lost)
    name = f"{point.trial_id}-round-1-seed-7"
    assert replicate(study, point, [7], lambda _: None).failed == [name]
    assert not folder_of(folder, name).exists()
    _Run(study, point, 7, "replicate").begin()
    shutil.copy(folder_of(folder, point.trial_id) / "plan.json", folder_of(folder, name))
    told: list[str] = []
    found = replicate(study, point, [7], told.append)
    assert (found.made, found.failed, told) == ([], [name], [name])
    outcome = TrialOutcome.model_validate_json(
        (folder_of(folder, name) / "outcome.json").read_text()
    )
    assert outcome.status == "errored"
    assert outcome.error is not None
    assert outcome.error.startswith(type(error).__name__)
    assert not load(str(folder)).problems


class KilledError(BaseException):
    """Stands for a kill: nothing is written after it."""


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_replicate_and_its_controls_that_were_killed_go_on_and_run_no_round_twice(
    replicated: tuple[Path, str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
) -> None:
    folder, trial, made = replicated
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    point = find_point(Folder(str(copy)), trial, 2)
    names = [made[0], f"{made[0]}-dense"]

    def recorded() -> list[list[str]]:
        timed = {"wall_s", "finished_at"}
        return [[r.model_dump_json(exclude=timed) for r in rounds_of(copy, n)] for n in names]

    before = recorded()
    judged = [(folder_of(copy, name) / "confirmation.jsonl").read_bytes() for name in names]
    for name in names:
        shutil.rmtree(folder_of(copy, name))
    ran: list[int] = []

    def killed(*arguments: Any) -> Iterator[RoundRecord]:
        for count, record in enumerate(run_pipeline(*arguments), 1):
            ran.append(record.round)
            if count == rounds:
                raise KilledError
            yield record

    monkeypatch.setattr("study.tuning.afterwards.replicating.run_pipeline", killed)
    for _ in range(20):
        try:
            _run_seed(str(copy), point, 1, True)
        except KilledError:
            continue
        break
    assert recorded() == before
    assert [(folder_of(copy, name) / "confirmation.jsonl").read_bytes() for name in names] == judged
    assert ran == [0, 1, 2, 0, 1, 2]


def test_a_replicate_that_fails_has_no_controls(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    study = Folder(str(folder))
    point = find_point(study, study.folders("trials")[0], 1)

    def fail(*_: Any) -> Iterator[RoundRecord]:
        raise ValueError("no such luck")

    monkeypatch.setattr("study.tuning.afterwards.replicating.run_pipeline", fail)
    name = f"{point.trial_id}-round-1-seed-7"
    assert _run_seed(str(folder), point, 7, True) == [(name, False)]
    assert not (folder / "controls").exists()


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        find_point(Folder(str(tmp_path)), "0000")


@pytest.mark.parametrize(
    ("tables", "first"),
    [
        ({}, 11),
        ({"sensitivity": {"seeds": 3}}, 11),  # no scan is made
        ({"sensitivity": {"seeds": 3, "scan": True}}, 13),
        ({"sensitivity": {"seeds": 2}, "space": {"per_layer": {"bounds": "sensitivity"}}}, 12),
    ],
)
def test_new_seeds_come_after_those_of_the_search_and_its_scan(
    tables: dict[str, Any], first: int
) -> None:
    config = load_config({**SMALL, "study": {"name": "small", "seed": 10}, **tables})
    assert new_seeds(config, 3) == [first, first + 1, first + 2]
    with pytest.raises(UsageError, match="--seeds: 0 is not at least 1"):
        new_seeds(config, 0)


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
        **{table: SMALL[table] for table in ("search", "confirm")},
    }
    folder = run(tables, storage_path=tmp_path)
    study = Folder(folder)
    point = find_point(study, study.folders("trials")[0], 1)
    ended = _run_seed(folder, point, 1, True)
    name = f"{point.trial_id}-round-1-seed-1"
    assert ended == [(name, True), (f"{name}-dense", True)]
    for role in CONTROLS[:-1]:
        origin = folder_of(Path(folder), f"{name}-{role}") / "origin.json"
        why = Origin.model_validate_json(origin.read_text()).left_out
        assert why is not None
        assert why.startswith("task.weights is set")
    assert replicate(study, point, [1], lambda _: None).made == []
    answer = CliRunner().invoke(replicate_command, [folder, "--trial", point.trial_id, "--seeds=1"])
    assert answer.exit_code == 0
    said = [line for line in answer.stderr.splitlines() if "left out" in line]
    assert len(said) == 4
    assert said[0].startswith("prune-study: reinit was left out: task.weights is set")
    (told,) = (s for s in controls(load(folder)).sentences if "never trained" in s)
    assert "on 1 seed: task.weights is set" in told
