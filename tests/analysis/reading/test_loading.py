from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import analysis
from analysis.statistics.replicates import recipes
from study.errors import UsageError
from study.records import LayerRecord, RoundRecord
from study.storage import Folder
from tests.analysis.study_folders import new_study, searched_study


def _records(path: Path) -> list[RoundRecord]:
    """The oracle: every line through the model that wrote it."""
    return [
        RoundRecord.model_validate_json(line)
        for file in sorted(path.glob("trials/*/rounds.jsonl"))
        for line in file.read_text().splitlines()
    ]


def _age(path: Path, seconds: float = 60) -> None:
    then = time.time() - seconds
    for file in path.rglob("*"):
        os.utime(file, (then, then))


def test_rounds_and_layers_are_what_the_records_say(tmp_path: Path) -> None:
    searched_study(tmp_path / "one", trials=12)
    results = analysis.load(tmp_path / "one")
    records = _records(tmp_path / "one")
    assert len(results.rounds) == len(records)
    for row, record in zip(results.rounds.to_dict("records"), records, strict=True):
        for name in RoundRecord.model_fields:
            if name in ("schema_version", "layers", "collapsed_layers", "uncounted"):
                continue
            expected = getattr(record, name)
            if name == "finished_at":
                assert row[name] == pd.Timestamp(expected)
            elif expected is None or expected != expected:
                assert pd.isna(row[name])
            else:
                assert row[name] == expected
    layers = [(record, layer) for record in records for layer in record.layers]
    assert len(results.layers) == len(layers)
    for row, (record, layer) in zip(results.layers.to_dict("records"), layers, strict=True):
        assert (row["trial_id"], row["round"]) == (record.trial_id, record.round)
        assert {name: row[name] for name in LayerRecord.model_fields} == layer.model_dump()


def test_numbers_have_number_types_and_text_has_text_types(tmp_path: Path) -> None:
    searched_study(tmp_path / "one", trials=4)
    rounds = analysis.load(tmp_path / "one").rounds
    assert str(rounds["finished_at"].dtype) == "datetime64[ms, UTC]"
    for name in ("trial_id", "study", "mask_hash", "stop_reason"):
        assert pd.api.types.is_string_dtype(rounds[name].dropna())
    for name in ("round", "seed", "nonzero_parameters", "train_samples"):
        assert rounds[name].dtype == "int64"
    for name in ("density", "val_accuracy", "test_accuracy", "macs", "wall_s"):
        assert rounds[name].dtype == "float64"


def test_a_stop_reason_stands_on_the_last_round_of_its_trial_only(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a", rounds=4, finished=2, status="stopped", reason="future_dominated")
    study.trial("b", rounds=2)
    results = analysis.load(study.path)
    reasons = results.rounds.set_index(["trial_id", "round"])["stop_reason"].dropna()
    assert reasons.to_dict() == {("a", 2): "future_dominated"}
    assert results.trials.set_index("trial_id").loc["a", "rounds_finished"] == 2


def test_plans_are_columns_of_the_trials(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a", sparsity={"fc1": 0.5, "head": 0.25}, rounds=1, retrain_epochs=3.0)
    study.trial("b", sparsity=0.75, rounds=2, seed=7, rewind_epoch=1.5, retrain="weight_rewind")
    trials = analysis.load(study.path).trials.set_index("trial_id")
    assert trials.loc["a", "sparsity.fc1"] == 0.5
    assert trials.loc["a", "sparsity.head"] == 0.25
    assert pd.isna(trials.loc["a", "sparsity"])
    assert trials.loc["b", "sparsity"] == 0.75
    assert trials.loc["b", "seed"] == 7
    assert trials.loc["b", "rewind_epoch"] == 1.5
    assert trials.loc["a", "allocation"] == "per_layer"


def test_offsets_of_scores_are_columns_and_make_another_recipe(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    plain = {"allocation": "lamp", "rounds": 1}
    study.trial("a", score_offsets={"fc1": 0.5}, **plain)
    study.trial("b", score_offsets={"fc1": 0.5, "head": -0.25}, **plain)
    study.trial("c", **plain)
    study.trial("d", score_offsets={"fc1": 0.5}, seed=1, **plain)
    results = analysis.load(study.path)
    trials = results.trials.set_index("trial_id")
    assert trials["score_offset.fc1"].to_dict() == {"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.5}
    assert trials["score_offset.head"].to_dict() == {"a": 0.0, "b": -0.25, "c": 0.0, "d": 0.0}
    assert {"score_offset.fc1", "score_offset.head"} <= set(analysis.plan_parameters(results))
    numbers = recipes(results)
    assert numbers["a"] == numbers["d"]
    assert numbers[["a", "b", "c"]].nunique() == 3


def test_a_half_written_last_line_is_no_error(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a", rounds=3, status=None)
    file = tmp_path / "one/trials/a/rounds.jsonl"
    whole = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for end in (len(whole) - 1, len(whole) - 2, len(whole) - 200):
            file.write_bytes(whole[:end])
            results = analysis.load(study.path)
            # Without its line break only, the line is complete.
            assert len(results.rounds) == (4 if end == len(whole) - 1 else 3)
            assert results.trials.loc[0, "status"] == "running"
            assert not results.problems


@pytest.mark.parametrize(
    "damage",
    [b"{not json}\n", b"[1, 2]\n", b"{}\n", b'{"round": "x"}\n', b"\xff\xfe\x00\n", b"null\n"],
)
def test_a_damaged_line_is_told_of_by_name_and_the_rest_is_read(
    tmp_path: Path, damage: bytes
) -> None:
    study = new_study(tmp_path / "one")
    for trial_id in ("a", "b", "c"):
        study.trial(trial_id, rounds=3)
    file = tmp_path / "one/trials/b/rounds.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + damage + b"".join(lines[2:]))
    with pytest.warns(analysis.ProblemWarning, match=r"trials/b/rounds\.jsonl cannot .* line 2"):
        results = analysis.load(study.path)
    assert list(results.problems) == ["trials/b/rounds.jsonl"]
    assert results.rounds.groupby("trial_id").size().to_dict() == {"a": 4, "b": 3, "c": 4}
    assert len(results.layers) == 11 * 3


def test_a_damaged_plan_or_outcome_is_told_of_by_name(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a")
    study.trial("b")
    (tmp_path / "one/trials/a/plan.json").write_text("{")
    (tmp_path / "one/trials/b/outcome.json").write_text("[]")
    with pytest.warns(analysis.ProblemWarning):
        results = analysis.load(study.path)
    assert set(results.problems) == {"trials/a/plan.json", "trials/b/outcome.json"}
    assert len(results.rounds) == 8


def test_a_line_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a")
    file = tmp_path / "one/trials/a/rounds.jsonl"
    text = file.read_text()
    file.write_text(text.replace('"schema_version":1', '"schema_version":99'))
    with pytest.raises(UsageError, match=r"version 99.*Update prune-study"):
        analysis.load(study.path)
    # Also where the newer record has another shape.
    file.write_text('{"schema_version":99,"round":{"number":1}}\n')
    with pytest.raises(UsageError, match="version 99"):
        analysis.load(study.path)


def test_records_of_an_older_version_lack_fields_and_are_read(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a", rounds=1)
    file = tmp_path / "one/trials/a/rounds.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        record["schema_version"] = 0
        for name in ("train_loss", "uncounted", "train_samples"):
            del record[name]
        record["since_removed"] = 1
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    results = analysis.load(study.path)
    assert len(results.rounds) == 2
    assert results.rounds["train_loss"].isna().all()
    assert "since_removed" not in results.rounds


def test_a_round_written_twice_counts_as_it_was_written_last(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    study.trial("a", rounds=2)
    file = tmp_path / "one/trials/a/rounds.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    again = json.loads(lines[1]) | {"val_accuracy": 0.5}
    file.write_text("".join(lines) + json.dumps(again) + "\n")
    with pytest.warns(analysis.ProblemWarning, match="round: 1 is there more than once"):
        results = analysis.load(study.path)
    assert results.rounds["round"].tolist() == [0, 1, 2]
    assert results.rounds["val_accuracy"][1] == 0.5
    assert not results.layers.duplicated(["trial_id", "round", "layer"]).any()


def test_a_folder_without_a_study_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no study: there is no study\.toml"):
        analysis.load(tmp_path)
    (tmp_path / "study.toml").write_text("= nonsense")
    with pytest.raises(UsageError, match=r"study\.toml is damaged"):
        analysis.load(tmp_path)
    with pytest.raises(UsageError, match="list of folders is empty"):
        analysis.load([])


def test_a_uri_is_read_like_a_path(tmp_path: Path) -> None:
    searched_study(tmp_path / "one", trials=5)
    near = analysis.load(tmp_path / "one")
    far = analysis.load((tmp_path / "one").as_uri())
    assert_frame_equal(near.rounds, far.rounds)
    assert_frame_equal(near.layers, far.layers)


def test_a_store_that_is_not_local_is_read_without_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched_study(tmp_path / "one", trials=5)
    near = analysis.load(tmp_path / "one")
    monkeypatch.setattr(Folder, "local_path", None)
    uri = (tmp_path / "one").as_uri()
    far = analysis.load(uri)
    assert_frame_equal(near.rounds, far.rounds)
    assert_frame_equal(near.layers, far.layers)
    _age(tmp_path / "one")
    analysis.load(uri, cache=True)
    shutil.rmtree(tmp_path / "one/trials/0001")
    assert len(analysis.load(uri).rounds) < len(near.rounds)


def test_several_studies_are_told_apart(tmp_path: Path) -> None:
    one = searched_study(tmp_path / "one", trials=3, name="one")
    two = searched_study(tmp_path / "two", trials=4, name="two", rng_seed=1)
    results = analysis.load([one, two])
    assert results.name == "one + two"
    assert results.trials["trial_id"].is_unique
    assert results.trials.groupby("study").size().to_dict() == {"one": 5, "two": 6}
    assert set(results.layers["trial_id"]) == set(results.rounds["trial_id"])
    assert results.config["two"]["study"]["name"] == "two"
    alone = analysis.load(two)
    assert results.rounds["density"].tolist()[-3:] == alone.rounds["density"].tolist()[-3:]
    assert "two/" not in "".join(alone.rounds["trial_id"])


def test_studies_of_one_name_are_named_by_their_place(tmp_path: Path) -> None:
    paths = [searched_study(tmp_path / place, trials=2) for place in ("one", "two")]
    assert set(analysis.load(paths).trials["study"]) == {"one", "two"}
    with pytest.raises(UsageError, match="given twice"):
        analysis.load([paths[0], paths[0]])


def test_objectives_of_the_study_are_columns(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one", objectives='accuracy = "max"\nparameters = "min"')
    objectives = {"val_accuracy": "max", "nonzero_parameters": "min"}
    assert analysis.load(study.path).objectives == objectives


def test_the_analysis_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    path = searched_study(tmp_path / "one", trials=12, masks=True)
    program = f"""
import sys, analysis
results = analysis.load({str(path)!r})
for name in analysis.__all__:
    if name.startswith("plot_"):
        getattr(analysis, name)(results)
analysis.checklist(results)
found = [name for name in ("torch", "ray") if name in sys.modules]
assert not found, found
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_analysis_costs_little() -> None:
    program = "import sys, analysis; assert 'pandas' not in sys.modules and len(dir(analysis)) > 40"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_frames_can_be_changed_like_any_other(tmp_path: Path) -> None:
    searched_study(tmp_path / "one", trials=4)
    results = analysis.load(tmp_path / "one")
    for frame in (results.rounds, results.trials, results.layers, results.sensitivity):
        for name in frame.columns:
            frame.loc[0, name] = frame.loc[1, name]
        frame.loc[frame.index > 1, "new"] = 1.0


def test_the_textbook_run_is_the_first_trial_of_a_study_that_begins_with_one(
    tmp_path: Path,
) -> None:
    searched_study(tmp_path / "old", trials=3)
    assert not analysis.load(tmp_path / "old").trials["is_textbook"].any()
    for value, expected in (("true", ["0000"]), ("false", [])):
        path = tmp_path / value
        searched_study(path, trials=3)
        written = (path / "study.toml").read_text()
        (path / "study.toml").write_text(
            written.replace("[search]\n", f"[search]\ntextbook = {value}\n")
        )
        trials = analysis.load(path).trials
        assert trials["is_textbook"].dtype == bool
        assert trials.loc[trials["is_textbook"], "trial_id"].tolist() == expected
    both = analysis.load([tmp_path / "true", tmp_path / "old"]).trials
    names = dict(zip(both["trial_id"], both["is_textbook"], strict=True))
    assert [name for name, first in names.items() if first] == ["true/0000"]


def test_a_table_of_structures_is_told_in_words(tmp_path: Path) -> None:
    study = new_study(tmp_path / "one")
    said = {
        "a": {"structure": {"conv*": "channels", "fc*": "2:4"}},
        "b": {"structure": "blocks", "unit_sparsity": None},
        "c": {"structure": "channels+weights", "unit_sparsity": 0.25},
    }
    for trial, fields in said.items():
        study.trial(trial, sparsity=0.5)
        file = Path(study.path) / "trials" / trial / "plan.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    trials = analysis.load(study.path).trials.set_index("trial_id")
    assert trials["structure"].tolist() == [
        "channels of conv*, 2:4 of fc*", "blocks", "channels+weights"
    ]  # fmt: skip
    assert trials.loc["c", "unit_sparsity"] == 0.25
