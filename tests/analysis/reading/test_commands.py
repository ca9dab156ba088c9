"""Commands of a report can be pasted where it was made."""

import shlex
from pathlib import Path

import pytest

import analysis
from analysis.reading.commands import command, export_command
from tests.analysis.study_folders import new_study


def loaded(path: Path) -> analysis.Results:
    new_study(path).trial("0000", rounds=1, sparsity=0.5)
    return analysis.load(path)


def test_the_folder_is_called_as_it_lies_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = loaded(tmp_path / "studies" / "one of mine")
    monkeypatch.chdir(tmp_path)
    assert command(results, "confirm") == "prune-study confirm 'studies/one of mine'"
    monkeypatch.chdir(tmp_path / "studies" / "one of mine")
    assert command(results, "confirm") == "prune-study confirm ."
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command(results, "confirm") == "prune-study confirm ~/'studies/one of mine'"
    monkeypatch.setenv("HOME", str(elsewhere))
    said = shlex.split(command(results, "confirm"))
    assert said == ["prune-study", "confirm", str(tmp_path / "studies" / "one of mine")]


def test_a_name_that_looks_like_an_option_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = loaded(tmp_path / "--help")
    monkeypatch.chdir(tmp_path)
    assert command(results, "table", "trials") == "prune-study table ./--help trials"


@pytest.mark.parametrize(
    ("table", "key"),
    [("task", "object"), ("task", "metrics"), ("space", "saliency"), ("space", "function")],
)
def test_a_study_that_names_code_is_trusted_by_the_commands_that_import_it(
    tmp_path: Path, table: str, key: str
) -> None:
    results = loaded(tmp_path)
    assert "--trust-code" not in export_command(results, "0000", 1)
    own = ["my_module:f"] if key == "metrics" else "my_module:f"
    results.config[table] = {**results.config.get(table, {}), key: own}
    assert export_command(results, "0000", 1).endswith("-o network.onnx --trust-code")
    assert "--trust-code" not in command(results, "table", "trials")


def test_a_trial_whose_own_plan_names_code_is_too(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1, sparsity=0.5)
    study.trial("0001", rounds=1, sparsity=0.5, saliency="my_module:f")
    results = analysis.load(tmp_path)
    assert "--trust-code" not in export_command(results, "0000", 1)
    assert export_command(results, "0001", 1).endswith("--trust-code")
    assert command(results, "confirm").endswith("--trust-code")


def test_of_several_studies_a_trial_says_which(tmp_path: Path) -> None:
    for name in ("a", "b"):
        new_study(tmp_path / name, name).trial("0000", rounds=1, sparsity=0.5)
    results = analysis.load([tmp_path / "a", tmp_path / "b"])
    assert command(results, "confirm") == "prune-study confirm DIR"
