"""Files of a study that are not what they should be: each is named, and the rest is read."""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analysis
from study.errors import UsageError
from tests.analysis.study_folders import AVERAGE_PRECISION, StudyFolder, new_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    made = new_study(tmp_path / "s", metrics=(AVERAGE_PRECISION,))
    for trial_id in ("0000", "0001"):
        made.trial(trial_id, masks=True)
    made.sensitivity()
    made.replicate("0000", 5, [0.0, 0.01, 0.02], test_drops=[0.0, 0.01, 0.02])
    for role in ("dense", "reinit"):
        made.control("0000-round-3-seed-5", role, 0.9)
    return made


def _problems(study: StudyFolder) -> dict[str, str]:
    """Of all that is read, now or later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", analysis.ProblemWarning)
        results = analysis.load(study.path)
        for name in ("layers", "sensitivity", "controls", "confirmation", "left_out", "held_out"):
            getattr(results, name)
        last = results.rounds[results.rounds["round"] == 3]
        analysis.mask_overlap(results, [(trial_id, 3) for trial_id in last["trial_id"]][:2])
    return results.problems


def _change_line(path: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> None:
    lines = path.read_text().splitlines()
    document = json.loads(lines[number])
    change(document)
    lines[number] = json.dumps(document)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("density", -1, "density: is not from 0 to 1, but -1"),
        ("density", float("nan"), "density: is not from 0 to 1"),
        ("sparsity", "0.5", "sparsity: input should be a valid number"),
        ("round", 2**32, "round: is not from 0 to 2,147,483,647"),
        ("round", -1, "round: is not from 0"),
        ("train_samples", 2**63, "train_samples: is not from 0"),
        ("train_epochs", 1e300, "train_epochs: is not from 0"),
        ("wall_s", None, "wall_s: input should be a valid number"),
        ("macs", -5.0, "macs: is not from 0"),
        ("latency_ms", -0.1, "latency_ms: is not from 0"),
        ("val_average_precision", 94.3, "val_average_precision: is not from 0 to 1, as a share"),
        ("val_average_precision", "good", "val_average_precision: input should be a valid number"),
        ("finished_at", "soon", "finished_at: "),
        ("seed", True, "seed: input should be a valid integer"),
        ("mask_hash", None, "mask_hash: input should be a valid string"),
    ],
)
def test_a_figure_outside_its_range_or_of_a_wrong_kind_is_named_with_line_and_field(
    study: StudyFolder, field: str, value: Any, said: str
) -> None:
    file = Path(study.path) / "trials/0001/rounds.jsonl"
    _change_line(file, 2, lambda record: record.update({field: value}))
    found = _problems(study)
    assert list(found) == ["trials/0001/rounds.jsonl"]
    assert f"cannot be read in line 3 ({said}" in found["trials/0001/rounds.jsonl"]
    with pytest.warns(analysis.ProblemWarning):
        results = analysis.load(study.path)
    assert results.rounds.loc[results.rounds["trial_id"] == "0001", "round"].tolist() == [0, 1, 3]
    assert set(results.layers.loc[results.layers["trial_id"] == "0001", "round"]) == {0, 1, 3}


@pytest.mark.parametrize("field", ["density", "macs", "val_loss", "val_average_precision", "seed"])
def test_a_missing_figure_is_named_and_is_not_one_that_is_null(
    study: StudyFolder, field: str
) -> None:
    file = Path(study.path) / "trials/0001/rounds.jsonl"
    _change_line(file, 1, lambda record: record.pop(field))
    assert f"line 2 ({field}: is missing)" in _problems(study)["trials/0001/rounds.jsonl"]


@pytest.mark.parametrize("field", ["macs", "val_loss", "val_average_precision"])
def test_a_figure_that_is_null_is_nan(study: StudyFolder, field: str) -> None:
    file = Path(study.path) / "trials/0001/rounds.jsonl"
    text = [json.loads(line) for line in file.read_text().splitlines()]
    text[1][field] = None
    file.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in text))
    results = analysis.load(study.path)
    own = results.rounds[results.rounds["trial_id"] == "0001"].set_index("round")[field]
    assert own.isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("density", 2.0, "layers.1.density: is not from 0 to 1"),
        ("kept", -1, "layers.1.kept: is not from 0"),
        ("layer", 7, "layers.1.layer: input should be a valid string"),
        ("dead_outputs", 2**60, "layers.1.dead_outputs: is not from 0"),
    ],
)
def test_a_layer_that_is_wrong_is_named_when_layers_are_read(
    study: StudyFolder, field: str, value: Any, said: str
) -> None:
    file = Path(study.path) / "trials/0001/rounds.jsonl"
    _change_line(file, 2, lambda record: record["layers"][1].update({field: value}))
    results = analysis.load(study.path)
    assert len(results.rounds[results.rounds["trial_id"] == "0001"]) == 4
    with pytest.warns(analysis.ProblemWarning, match=f"line 3 \\({said}"):
        layers = results.layers
    assert set(layers.loc[layers["trial_id"] == "0001", "round"]) == {0, 1, 3}


SMALL_FILES = (
    "trials/0001/plan.json", "trials/0001/outcome.json", "trials/0001/rounds.jsonl", "task.json",
    "provenance.json", "events.jsonl", "test.jsonl", "sensitivity.parquet",
    "trials/0000/round_03.safetensors", "trials/0000-round-3-seed-5/origin.json",
    "trials/0000-round-3-seed-5/confirmation.jsonl",
    "controls/0000-round-3-seed-5-reinit/origin.json",
    "controls/0000-round-3-seed-5-dense/outcome.json",
    "controls/0000-round-3-seed-5-dense/rounds.jsonl",
)  # fmt: skip

WAYS: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_bytes(b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n"),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00\n"),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "circle": lambda path: (path.unlink(), path.symlink_to(path.name)),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_file_that_cannot_be_read_is_named_and_no_other(study: StudyFolder, way: str) -> None:
    for file in SMALL_FILES:
        WAYS[way](Path(study.path) / file)
    assert sorted(_problems(study)) == sorted(SMALL_FILES)


def test_a_study_file_that_says_what_it_may_not_is_refused_by_key(study: StudyFolder) -> None:
    file = Path(study.path) / "study.toml"
    text = file.read_text()
    for written, said in (
        ("constraints = 3", r"study\.toml is damaged: search\.constraints"),
        ('constraints = ["accuracy"]', r"search\.constraints\.0: constraint: 'accuracy'"),
    ):
        file.write_text(text.replace("constraints = []", written))
        with pytest.raises(UsageError, match=said):
            analysis.load(study.path)
    file.write_text(text.replace("[study]", "study = 1\n[other]"))
    with pytest.raises(UsageError, match=r"study\.toml is damaged: study: "):
        analysis.load(study.path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UsageError, match=r"study\.toml is damaged: is a pipe"):
        analysis.load(study.path)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("sparsity", -1.0, "row 1 (sparsity: is not from 0 to 1"),
        ("layer", 1.5, "layer: is of type double"),
        ("seed", "x", "seed: is of type string"),
        ("seed", None, "row 1 (seed"),
        (None, "val_loss", "val_loss: is missing"),
    ],
)
def test_a_scan_with_a_wrong_column_is_named(
    study: StudyFolder, column: str | None, values: Any, said: str
) -> None:
    file = Path(study.path) / "sensitivity.parquet"
    table = pq.read_table(file)
    if column is None:
        table = table.drop_columns([values])
    else:
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.array([values] * table.num_rows))
    pq.write_table(table, file)
    assert said in _problems(study)["sensitivity.parquet"]


def test_what_lies_among_the_trials_and_is_none_is_told_of(study: StudyFolder) -> None:
    place = Path(study.path) / "trials"
    (place / "notes.txt").write_text("mine")
    (place / "round").symlink_to("round")
    os.mkdir(os.fsencode(place) + b"/\xff")  # noqa: PTH102
    found = _problems(study)
    assert found["trials/notes.txt"] == "is no folder of a trial"
    assert found["trials/round"] == "is no folder of a trial"
    assert found["trials/\\udcff"] == "has a name that is no UTF-8"


def test_a_cache_or_a_trial_that_leads_out_of_the_study_is_left_alone(
    study: StudyFolder, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (Path(study.path) / "analysis_cache").symlink_to(away)
    shutil.move(Path(study.path) / "trials/0001", tmp_path / "0001")
    (Path(study.path) / "trials/0001").symlink_to(tmp_path / "0001")
    with pytest.warns(analysis.ProblemWarning):
        results = analysis.load(study.path, cache=True)
    assert "leads out of the folder" in results.problems["analysis_cache/rounds.parquet"]
    assert "leads out of the folder" in results.problems["trials/0001/plan.json"]
    assert not list(away.iterdir())
    assert "0001" not in set(results.rounds["trial_id"])


def test_a_cache_that_holds_what_no_record_may_is_not_taken(study: StudyFolder) -> None:
    for file in Path(study.path).glob("trials/*/rounds.jsonl"):
        os.utime(file, (time.time() - 60,) * 2)
    sound = analysis.load(study.path, cache=True).rounds
    file = Path(study.path) / "analysis_cache/rounds.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("density")
    wrong = table.set_column(place, "density", pa.array([7.0] * table.num_rows))
    pq.write_table(wrong, file)
    assert analysis.load(study.path).rounds["density"].tolist() == sound["density"].tolist()
