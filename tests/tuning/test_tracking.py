import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from study.config import load_config
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
        assert set(found) == {(name, round_) for name in SCALARS for round_ in range(3)}
        for result in results:
            assert found["val_accuracy", result["round"]] == pytest.approx(result["val_accuracy"])


def test_a_figure_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    (result,) = run_of([0.9])
    writer("round_finished", "0000", {**result, "wall_s": 1.0, "macs": float("nan")})
    writer("trial_errored", "0000", {})
    assert ("macs", 0) not in scalars_in(tmp_path / "tensorboard" / "0000")


def test_event_files_cannot_grow_behind_a_uri() -> None:
    study = {"name": "x", "tracking": ["tensorboard"], "storage_path": "mock://somewhere"}
    with pytest.raises(UsageError, match="storage_path on this machine"):
        prepare(load_config({**SMALL, "study": study}))
