from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

import analysis
from analysis.reading.files import trial_lines
from tests.analysis.study_folders import new_study, searched_study


def _settle(path: Path) -> None:
    """As if all files had been written a while ago."""
    then = time.time() - 60
    for file in path.glob("trials/*/rounds.jsonl"):
        os.utime(file, (then, then))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trials whose lines were parsed."""
    names: list[str] = []
    original = trial_lines.parse_trials

    def spy(folder, ids, *arguments, **options):  # type: ignore[no-untyped-def]
        names.extend(ids)
        return original(folder, ids, *arguments, **options)

    monkeypatch.setattr(trial_lines, "parse_trials", spy)
    return names


def test_a_second_load_parses_nothing_and_gives_the_same(tmp_path: Path, parsed: list[str]) -> None:
    searched_study(tmp_path, trials=10)
    _settle(tmp_path)
    first = analysis.load(tmp_path, cache=True)
    assert len(parsed) == 12
    parsed.clear()
    second = analysis.load(tmp_path)
    assert parsed == []
    assert_frame_equal(first.rounds, second.rounds)
    assert_frame_equal(first.trials, second.trials)


def test_only_trials_that_changed_are_parsed_anew(tmp_path: Path, parsed: list[str]) -> None:
    study = new_study(tmp_path)
    for trial_id in ("a", "b", "c"):
        study.trial(trial_id, rounds=4, finished=2, status=None)
    _settle(tmp_path)
    analysis.load(tmp_path, cache=True)
    study.trial("b", rounds=4)
    study.trial("d", rounds=1)
    parsed.clear()
    results = analysis.load(tmp_path)
    assert parsed == ["b", "d"]
    sizes = results.rounds.groupby("trial_id", sort=False).size()
    assert sizes.to_dict() == {"a": 3, "b": 5, "c": 3, "d": 2}
    assert list(sizes.index) == ["a", "b", "c", "d"]
    assert_frame_equal(results.rounds, analysis.load(tmp_path, cache=False).rounds)


def test_layers_have_a_cache_of_their_own(tmp_path: Path, parsed: list[str]) -> None:
    study = new_study(tmp_path)
    for trial_id in ("b", "a", "c"):
        study.trial(trial_id, rounds=4, finished=2, status=None)
    _settle(tmp_path)
    first = analysis.load(tmp_path, cache=True).layers
    parsed.clear()
    assert_frame_equal(analysis.load(tmp_path).layers, first)
    assert parsed == []
    study.trial("b", rounds=4)
    results = analysis.load(tmp_path)
    assert len(results.layers) == len(first) + 2 * 3
    assert parsed == ["b", "b"]
    assert_frame_equal(results.layers, analysis.load(tmp_path, cache=False).layers)


def test_a_trial_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id in ("a", "b"):
        study.trial(trial_id)
    _settle(tmp_path)
    analysis.load(tmp_path, cache=True)
    study.folder.remove("trials", "a")
    assert set(analysis.load(tmp_path).rounds["trial_id"]) == {"b"}


def test_a_file_written_a_moment_ago_is_not_trusted_to_stay(
    tmp_path: Path, parsed: list[str]
) -> None:
    study = new_study(tmp_path)
    study.trial("a")
    analysis.load(tmp_path, cache=True)
    parsed.clear()
    analysis.load(tmp_path, cache=True)
    assert parsed == ["a"]


def test_a_change_of_the_same_length_and_time_is_seen(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", accuracy=0.75)
    file = tmp_path / "trials/a/rounds.jsonl"
    os.utime(file, (1e9, 1e9))
    analysis.load(tmp_path, cache=True)
    study.folder.write(file.read_text().replace("0.75", "0.25"), "trials", "a", "rounds.jsonl")
    os.utime(file, (1e9, 1e9))
    assert set(analysis.load(tmp_path).rounds["val_accuracy"]) == {0.25}


def test_a_damaged_trial_is_told_of_each_time(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a")
    study.trial("b")
    file = tmp_path / "trials/a/rounds.jsonl"
    file.write_text("{broken}\n" + file.read_text())
    _settle(tmp_path)
    for _ in range(2):
        with pytest.warns(analysis.ProblemWarning, match=r"trials/a/rounds\.jsonl"):
            analysis.load(tmp_path, cache=True)


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense", None])
def test_a_damaged_cache_is_passed_over(tmp_path: Path, damage: bytes | None) -> None:
    searched_study(tmp_path, trials=3)
    _settle(tmp_path)
    first = analysis.load(tmp_path, cache=True)
    cache = tmp_path / "analysis_cache/rounds.parquet"
    data = cache.read_bytes()
    cache.write_bytes(data[: len(data) // 2] if damage is None else damage)
    assert_frame_equal(first.rounds, analysis.load(tmp_path).rounds)


def test_a_folder_that_cannot_be_written_to_is_read_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched_study(tmp_path, trials=3)

    def refuse(*_: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr("study.storage.Folder.write", refuse)
    assert len(analysis.load(tmp_path, cache=True).rounds) > 0


def test_a_small_study_gets_no_cache_unasked(tmp_path: Path) -> None:
    searched_study(tmp_path, trials=3)
    analysis.load(tmp_path)
    assert not (tmp_path / "analysis_cache").exists()
