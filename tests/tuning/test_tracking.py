import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

import study
from study.configuration.loading import load_config
from study.errors import UsageError
from study.tuning.preparing import prepare
from study.tuning.tracking import SCALARS, TensorBoardWriter
from tests.conftest import SMALL
from tests.tuning.rounds import run_of


def scalars_in(folder: Path) -> dict[tuple[str, int], float]:
    """What an event file holds, read by its format: length, checksum, message, checksum."""
    found = {}
    for file in folder.iterdir():
        data, place = file.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack("<Q", data[place : place + 8])
            event = Event()
            event.ParseFromString(data[place + 12 : place + 12 + length])
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
            place += 16 + length
    return found


def test_every_round_of_every_trial_is_a_step_of_its_scalars(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    results: list[dict[str, Any]] = [{**each, "wall_s": 1.5} for each in run_of([0.9, 0.8, 0.7])]
    writer("study_started", "", {})
    for trial in ("0000", "0001"):
        writer("trial_started", trial, {})
        for result in results:
            writer("round_finished", trial, result)
        writer("trial_completed", trial, results[-1])
    for trial in ("0000", "0001"):
        found = scalars_in(tmp_path / "tensorboard" / trial)
        assert set(found) == {
            (name, round_) for name in (*SCALARS, "val_accuracy", "val_loss") for round_ in range(3)
        }
        for result in results:
            assert found["val_accuracy", result["round"]] == pytest.approx(result["val_accuracy"])


def test_a_figure_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    (result,) = run_of([0.9])
    writer("round_finished", "0000", {**result, "wall_s": 1.0, "macs": float("nan")})
    writer("trial_errored", "0000", {})
    assert ("macs", 0) not in scalars_in(tmp_path / "tensorboard" / "0000")


def test_event_files_cannot_grow_behind_a_uri() -> None:
    table = {"name": "x", "tracking": ["tensorboard"], "storage_path": "s3://b?region=us-east-1"}
    with pytest.raises(UsageError, match="storage_path on this machine"):
        prepare(load_config({**SMALL, "study": table}))


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.tracking.find_spec", lambda _: None)
    table = {"name": "x", "tracking": [name], "storage_path": str(tmp_path)}
    with pytest.raises(UsageError, match=rf"prune-study\[{name}\]"):
        prepare(load_config({**SMALL, "study": table}))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_mlflow_has_a_run_for_each_trial_with_its_rounds(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tables = {"name": "tracked", "num_samples": 2, "tracking": ["mlflow"]}
    study.run({**SMALL, "study": tables}, storage_path=tmp_path)
    client = mlflow.MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'tracked'")
    found = client.search_runs([experiment.experiment_id])
    assert len(found) == 2
    for run in found:
        rounds = client.get_metric_history(run.info.run_id, "round")
        assert min(metric.value for metric in rounds) == 0
        assert "val_accuracy" in run.data.metrics


@pytest.mark.slow
def test_wandb_has_a_run_for_each_trial(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tables = {"name": "tracked", "num_samples": 2, "tracking": ["wandb"]}
    study.run({**SMALL, "study": tables}, storage_path=tmp_path)
    runs = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(runs) == 2
    assert all(b"val_accuracy" in run.read_bytes() for run in runs)
