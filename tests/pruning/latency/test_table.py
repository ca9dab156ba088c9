import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.pruning.latency import machine, table
from study.pruning.latency.layers import layer_calls
from study.pruning.latency.prediction import predict_latency, scale_of
from study.pruning.latency.table import EMPTY, LayerTable, LayerTime
from study.tasks.forward import call

MODEL = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
INPUTS = torch.zeros(2, 3)


def sizes(model: nn.Module = MODEL) -> list[str]:
    return [each.size for each in layer_calls(model.eval(), INPUTS, call, fused=False)]


def recorded(folder: Path) -> LayerTable:
    """A table that holds all layers: 1 ms, 2 ms, 4 ms, the ReLUs alike."""
    made = LayerTable(folder=folder)
    times = {EMPTY: 0.5, **dict(zip(dict.fromkeys(sizes()), (1.0, 2.0, 4.0), strict=True))}
    made.times = {
        key: LayerTime(median_ms=ms, spread_ms=0.1, repeats=9) for key, ms in times.items()
    }
    return made


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(table, "take_turns", refuse)


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_prediction_is_the_sum_of_what_the_table_says(tmp_path: Path) -> None:
    assert predict_latency(MODEL, INPUTS, recorded(tmp_path)) == 0.5 + 1 + 2 + 4 + 2


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_scale_is_for_what_lies_between_and_leaves_the_dense_network_as_measured(
    tmp_path: Path,
) -> None:
    known = recorded(tmp_path)
    scale = scale_of(MODEL, 18.5, INPUTS, known)
    assert scale == 2.0
    assert predict_latency(MODEL, INPUTS, known, scale=scale) == 18.5
    assert predict_latency(MODEL[:1], INPUTS, known, scale=scale) == 0.5 + 2 * 1


@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
def test_what_was_measured_is_kept_and_read_again(backend: Any, tmp_path: Path) -> None:
    first = LayerTable(backend, folder=tmp_path, repeats=2)
    predicted = predict_latency(MODEL, INPUTS, first)
    again = LayerTable(backend, folder=tmp_path, repeats=2)
    assert again.times == first.times
    assert predict_latency(MODEL, INPUTS, again) == predicted
    assert len(again.times) == 1 + (3 if backend == "eager" else 2)  # ONNX Runtime fuses
    assert [path.name for path in tmp_path.iterdir()] == [first.machine.file_name]


def test_only_what_is_lacking_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def take(timed: dict[str, Any], **_: Any) -> dict[str, list[float]]:
        asked.append(set(timed))
        return {name: [3.0, 3.0] for name in timed}

    monkeypatch.setattr(table, "take_turns", take)
    known = LayerTable(folder=tmp_path)
    predict_latency(MODEL[:2], INPUTS, known)
    predict_latency(MODEL, INPUTS, known)
    predict_latency(MODEL, INPUTS, known)
    first, second, third = dict.fromkeys(sizes())
    assert asked == [{EMPTY, first, second}, {EMPTY, third}]
    assert known.times[first].median_ms == 0.0  # as long as an empty call


def test_what_takes_long_is_told_with_a_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(table, "IN_TURNS", 2)
    monkeypatch.setattr(table, "EVERY_S", 0.0)
    known = LayerTable(folder=tmp_path, repeats=2, tell=told.append)
    predict_latency(MODEL, INPUTS, known)
    lacking = len(set(sizes()))
    first = f"timing {lacking} sizes of layers, once a machine: 0 of {lacking} known"
    assert told[:2] == [first, f"{first}, pass 1"]
    assert f"{first.replace('0 of', '2 of')}, pass 1" in told
    told.clear()
    predict_latency(MODEL, INPUTS, LayerTable(folder=tmp_path, repeats=2, tell=told.append))
    assert told == []


def test_what_another_process_wrote_meanwhile_stays(tmp_path: Path) -> None:
    mine, theirs = (LayerTable(folder=tmp_path, repeats=2) for _ in range(2))
    predict_latency(MODEL[:1], INPUTS, theirs)
    predict_latency(MODEL[1:2], INPUTS, mine)
    assert mine.times == LayerTable(folder=tmp_path).times
    assert {key: mine.times[key] for key in theirs.times} == theirs.times


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"machine": {}, "layers": {}}'],
)
def test_a_damaged_file_is_named_and_left_alone(content: str, tmp_path: Path) -> None:
    path = LayerTable(folder=tmp_path).path
    path.write_text(content)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        LayerTable(folder=tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == content


def test_an_impossible_time_is_no_time(tmp_path: Path) -> None:
    known = recorded(tmp_path)
    known.path.write_text(
        json.dumps(
            {
                "machine": known.machine.model_dump(),
                "layers": {"a": {"median_ms": -1.0, "spread_ms": 0.0, "repeats": 1}},
            }
        )
    )
    with pytest.raises(UsageError, match=r"layers\.a\.median_ms"):
        LayerTable(folder=tmp_path)


def test_a_file_of_another_machine_is_refused(tmp_path: Path) -> None:
    known = recorded(tmp_path)
    other = {**known.machine.model_dump(), "processor": "another one"}
    known.path.write_text(json.dumps({"machine": other, "layers": {}}))
    with pytest.raises(UsageError, match=r"of another machine.*another one"):
        LayerTable(folder=tmp_path)


def test_each_way_of_running_has_a_file_of_its_own(tmp_path: Path) -> None:
    tables = [LayerTable("eager"), LayerTable("eager", 2), LayerTable("onnxruntime")]
    assert len({each.path for each in tables}) == 3
    assert LayerTable("eager", folder=tmp_path).path.parent == tmp_path


def test_tables_are_kept_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNE_STUDY_CACHE", str(tmp_path))
    assert LayerTable().path.parent == tmp_path / "layers"
    monkeypatch.delenv("PRUNE_STUDY_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LayerTable().path.parent == tmp_path / ".cache" / "prune-study" / "layers"


def test_what_is_not_here_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"latency\.backend: unknown name 'eagr'"):
        LayerTable("eagr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads: 0"):
        LayerTable("eager", 0)
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no GPU"):
        LayerTable("cuda")
