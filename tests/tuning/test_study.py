"""A real study on a real Ray: what it writes, and what it does when something fails."""

import json
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from safetensors.torch import load_file
from torch import Tensor, nn

import analysis
import study
from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline
from study.pruning.selection.saliency import SaliencyInputs
from study.records import Event, Provenance, RoundRecord, TrialOutcome
from study.tasks import Task, load_task, make_task
from study.tuning.launching import run_study
from study.tuning.preparing import prepare
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


def trials_of(folder: Path) -> list[Path]:
    return sorted((folder / "trials").iterdir())


def rounds_of(trial: Path) -> list[RoundRecord]:
    lines = (trial / "rounds.jsonl").read_text().splitlines()
    return [RoundRecord.model_validate_json(line) for line in lines]


def plan_of(trial: Path) -> PruningPlan:
    return PruningPlan.model_validate_json((trial / "plan.json").read_text())


def test_the_folder_is_laid_out_as_documented(small_study: Path) -> None:
    assert load_config(tomllib.loads((small_study / "study.toml").read_text())) is not None
    provenance = Provenance.model_validate_json((small_study / "provenance.json").read_text())
    assert provenance.packages["torch"].startswith(torch.__version__.split("+")[0])
    events = [
        Event.model_validate_json(line)
        for line in (small_study / "events.jsonl").read_text().splitlines()
    ]
    assert events[0].event == "study_started"
    assert events[-1].event == "study_finished"
    assert sum(event.event == "trial_completed" for event in events) == 6
    assert len(list((small_study / "trajectories").iterdir())) == 1


def test_every_round_of_every_trial_is_recorded_and_meets_its_plan(small_study: Path) -> None:
    assert [trial.name for trial in trials_of(small_study)] == [f"{n:04d}" for n in range(6)]
    for trial in trials_of(small_study):
        plan, records = plan_of(trial), rounds_of(trial)
        assert [record.round for record in records] == list(range(plan.rounds + 1))
        assert {record.trial_id for record in records} == {trial.name}
        outcome = TrialOutcome.model_validate_json((trial / "outcome.json").read_text())
        assert outcome.status == "completed"
        assert outcome.rounds_finished == outcome.rounds_planned == plan.rounds
        assert isinstance(plan.sparsity, float)
        total = sum(layer.total for layer in records[-1].layers)
        assert abs(records[-1].density - (1 - plan.sparsity)) <= 0.5 / total + 1e-9
        assert plan.score_offsets.keys() <= {layer.layer for layer in records[-1].layers}
        assert not (trial / "resume").exists()
        assert not list(trial.glob("*.tmp"))
    assert any(plan_of(trial).score_offsets for trial in trials_of(small_study))


def test_records_are_those_of_the_same_plan_without_ray(small_study: Path) -> None:
    task = load_task(**load_config(SMALL).task.load_arguments())
    for trial in trials_of(small_study)[:3]:
        alone = list(run_pipeline(plan_of(trial), task))
        for mine, recorded in zip(alone, rounds_of(trial), strict=True):
            same = {"wall_s", "finished_at", "trial_id"}
            assert mine.model_dump_json(exclude=same) == recorded.model_dump_json(exclude=same)


def test_weights_and_masks_of_every_round_are_kept_and_agree(small_study: Path) -> None:
    for trial in trials_of(small_study):
        for record in rounds_of(trial)[1:]:
            tensors = load_file(trial / f"round_{record.round:02d}.safetensors")
            for layer in record.layers:
                mask = tensors[f"mask.{layer.layer}"]
                assert mask.dtype == torch.bool
                assert int(mask.sum()) == layer.kept
                assert not tensors[f"model.{layer.layer}.weight"][~mask].any()


def test_the_dense_run_is_the_same_in_all_trials(small_study: Path) -> None:
    dense = [rounds_of(trial)[0] for trial in trials_of(small_study)]
    assert len({record.val_loss for record in dense}) == 1
    assert {record.train_epochs for record in dense} == {4.0}


def asked_for(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Optuna's trials that were run, without the rounds that were told beside them."""
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    trials = optuna.load_study(study_name=folder.name, storage=storage).trials
    return [trial for trial in trials if "round" not in trial.user_attrs]


def test_optuna_has_every_trial_with_its_values(small_study: Path) -> None:
    trials = asked_for(small_study)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6
    for trial, folder in zip(trials, trials_of(small_study), strict=True):
        last = rounds_of(folder)[-1]
        assert trial.user_attrs["trial_id"] == folder.name
        assert trial.values == [last.val_accuracy, last.density]


def test_optuna_is_told_of_every_round_that_is_a_plan_of_its_own(small_study: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(small_study / "optuna.journal")))
    trials = optuna.load_study(study_name="small", storage=storage).trials
    told = {
        (t.user_attrs["trial_id"], t.user_attrs["round"]): t.values
        for t in trials
        if "round" in t.user_attrs
    }
    expected = {
        (trial.name, record.round): [record.val_accuracy, record.density]
        for trial in trials_of(small_study)
        for record in rounds_of(trial)[1:-1]
    }
    assert told == expected
    assert told


@pytest.mark.parametrize("num_samples", [1, 2])
def test_the_first_trial_of_a_study_is_the_textbook_run(
    ray_cluster: None, tmp_path: Path, num_samples: int
) -> None:
    tables = {key: table for key, table in SMALL.items() if key != "search"}
    space = {**SMALL["space"], "per_layer": {"bounds": [0.0, 0.6]}}
    tables = {**tables, "space": space}
    folder = Path(study.run(tables, storage_path=tmp_path, num_samples=num_samples))
    trials = trials_of(folder)
    assert [trial.name for trial in trials] == [f"{number:04d}" for number in range(num_samples)]
    plan, records = plan_of(trials[0]), rounds_of(trials[0])
    assert (plan.allocation, plan.retrain, plan.retrain_epochs) == ("lamp", "lr_rewind", 2.0)
    densities = [1.0, 0.8, 0.64, 0.512, 0.4096, 0.32768]
    assert [record.density for record in records] == pytest.approx(densities, abs=1e-3)
    for trial in trials[1:]:
        assert plan_of(trial).allocation == "per_layer"
    assert len(asked_for(folder)) == num_samples - 1
    results = analysis.load(folder)
    assert results.trials["is_textbook"].tolist() == [True, False][:num_samples]
    began = results.events[results.events["event"] == "search_started"]
    assert began["detail"].iloc[0]["floor_density"] == pytest.approx(0.4)


def test_a_study_of_a_space_by_cuts_goes_down_to_the_floor_and_tells_every_round(
    ray_cluster: None, tmp_path: Path
) -> None:
    space = {"cut": [0.3, 0.5], "floor": 0.1, "retrain_epochs": 0.5, "retrain": "lr_rewind"}
    search = {"extend": True, "constraints": ["accuracy >= 0.1"]}
    tables = {**SMALL, "study": {"name": "cuts", "num_samples": 3}, "space": space}
    folder = Path(study.run({**tables, "search": search}, storage_path=tmp_path))
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    told = optuna.load_study(study_name="cuts", storage=storage).trials
    assert len(trials_of(folder)) == 3
    for trial in trials_of(folder)[1:]:
        records = rounds_of(trial)
        own = [each for each in told if each.user_attrs["trial_id"] == trial.name]
        (cut,) = {each.params["cut"] for each in own}
        densities = [record.density for record in records]
        assert densities[-1] == pytest.approx((1 - cut) ** (len(records) - 1), abs=1e-3)
        assert densities[-1] <= 0.1 + 1e-3 < (1 - cut) ** (len(records) - 2)
        assert sorted(each.values[1] for each in own) == sorted(densities[1:])


def test_the_textbook_run_goes_before_a_function_of_ones_own(
    ray_cluster: None, tmp_path: Path
) -> None:
    folder = Path(
        study.run(
            {
                **SMALL,
                "study": {"name": "own", "num_samples": 2},
                "space": {"function": "tests.tuning.test_study:halves"},
                "search": {"extend": True, "constraints": ["accuracy >= 0.1"]},
            },
            storage_path=tmp_path,
        )
    )
    first, second = trials_of(folder)
    assert plan_of(first).rounds == 21
    assert plan_of(second) == PruningPlan(sparsity=0.5, rounds=2, retrain_epochs=0.1)


def halves(trial: optuna.Trial, layers: Any) -> dict[str, Any]:
    return {"sparsity": 0.5, "rounds": 2, "retrain_epochs": 0.1}


def broken(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Fails at the second cut, which no rehearsal comes to."""
    if any(bool((weight == 0).any()) for weight in inputs.weights.values()):
        raise RuntimeError("this saliency is broken")
    return {layer: weight.abs() for layer, weight in inputs.weights.items()}


def test_a_failed_trial_is_recorded_and_the_study_goes_on(
    ray_cluster: None, tmp_path: Path
) -> None:
    saliency = ["magnitude", f"{__name__}:broken"]
    space = {**SMALL["space"], "saliency": saliency, "rounds": 3, "schedule": "geometric"}
    config = load_config(
        {**SMALL, "space": space, "study": {"name": "failing", "storage_path": str(tmp_path)}},
        ["study.num_samples=6", "search.warm_start=[]", "study.seed=3"],
    )
    finished = run_study(prepare(config), lambda *_: None)
    outcomes = [
        TrialOutcome.model_validate_json((trial / "outcome.json").read_text())
        for trial in trials_of(tmp_path / "failing")
    ]
    failed = [outcome for outcome in outcomes if outcome.status == "errored"]
    assert 0 < len(failed) < 6
    assert finished.failed_trials == len(failed)
    assert all("this saliency is broken" in str(outcome.error) for outcome in failed)
    assert {o.status for o in outcomes} == {"completed", "errored"}
    states = [trial.state.name for trial in asked_for(tmp_path / "failing")]
    assert states.count("FAIL") == len(failed)
    assert states.count("COMPLETE") == 6 - len(failed)


def exploding_task() -> Task:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(60, 4, generator=generator), torch.arange(60) % 2
    return make_task(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        (inputs, targets), 0.3, epochs=2, batch_size=8, lr=1e25, lr_schedule="constant",
    )  # fmt: skip


def test_a_trial_that_diverges_is_stopped_with_its_reason_and_teaches_nothing(
    ray_cluster: None, tmp_path: Path
) -> None:
    tables: dict[str, Any] = {
        "study": {"name": "diverging", "num_samples": 1, "storage_path": str(tmp_path)},
        "task": {"object": f"{__name__}:exploding_task"},
        "space": {"rounds": 2, "retrain": "finetune", "retrain_epochs": 1},
        "search": {"textbook": False},
        "resources": SMALL["resources"],
    }
    run_study(prepare(load_config(tables)), lambda *_: None)
    for trial in trials_of(tmp_path / "diverging"):
        outcome = json.loads((trial / "outcome.json").read_text())
        assert (outcome["status"], outcome["stop_reason"]) == ("stopped", "diverged")
    assert {trial.state.name for trial in asked_for(tmp_path / "diverging")} == {"FAIL"}


def test_a_study_that_cannot_start_writes_nothing(tmp_path: Path) -> None:
    tables = {**SMALL, "space": {"per_layer": {"bounds": {"fc9": [0, 0.5]}}}}
    with pytest.raises(study.UsageError, match="Did you mean 'fc"):
        study.run(tables, storage_path=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_written_into(small_study: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in small_study.rglob("*"))
    with pytest.raises(study.UsageError, match="exists already"):
        study.run(SMALL, storage_path=small_study.parent)
    assert sorted(path.stat().st_mtime_ns for path in small_study.rglob("*")) == before


def test_more_cores_than_there_are_is_said_and_not_waited_for(
    ray_cluster: None, tmp_path: Path
) -> None:
    tables = {**SMALL, "resources": {"cpus_per_trial": 64}}
    with pytest.raises(study.UsageError, match=r"no node .* 64 CPUs .* have: 2 CPUs"):
        study.run(tables, storage_path=tmp_path)


def test_a_study_can_be_kept_behind_a_uri(ray_cluster: None, tmp_path: Path) -> None:
    location = study.run(SMALL, storage_path=f"file://{tmp_path}", num_samples=1, name="by-uri")
    assert location == f"{tmp_path}/by-uri"  # which is a path of this machine
    assert len(trials_of(tmp_path / "by-uri")) == 1
