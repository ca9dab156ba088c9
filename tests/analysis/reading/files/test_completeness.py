"""Files that are missing, torn or empty although their trial ended."""

from pathlib import Path

import pytest

import analysis
from analysis.reading.names import distinct_names
from study.errors import UsageError
from tests.analysis.study_folders import new_study


def problems_of(path: str) -> dict[str, str]:
    with pytest.warns(analysis.ProblemWarning):
        return analysis.load(path).problems


@pytest.mark.parametrize("content", [b"", None])
def test_an_ended_trial_without_its_rounds_is_told_of(
    tmp_path: Path, content: bytes | None
) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    study.trial("0001")
    file = tmp_path / "s/trials/0000/rounds.jsonl"
    file.unlink() if content is None else file.write_bytes(content)
    expected = "has no round, and the trial finished round 3"
    assert problems_of(study.path) == {"trials/0000/rounds.jsonl": expected}
    with pytest.warns(analysis.ProblemWarning):
        assert set(analysis.load(study.path).rounds["trial_id"]) == {"0001"}


def test_an_ended_trial_with_a_torn_last_line_is_told_of(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    file = tmp_path / "s/trials/0000/rounds.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    expected = "has rounds up to 2, and the trial finished round 3"
    assert problems_of(study.path) == {"trials/0000/rounds.jsonl": expected}


def test_a_running_trial_with_a_torn_last_line_is_no_problem(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", status=None)
    file = tmp_path / "s/trials/0000/rounds.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    assert analysis.load(study.path).problems == {}


@pytest.mark.parametrize("content", [b"", None])
def test_an_ended_trial_without_its_plan_is_told_of(tmp_path: Path, content: bytes | None) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    file = tmp_path / "s/trials/0000/plan.json"
    file.unlink() if content is None else file.write_bytes(content)
    assert problems_of(study.path) == {"trials/0000/plan.json": "is missing or empty"}


def test_a_trial_that_failed_before_its_first_round_is_no_problem(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", finished=-1, status="errored", reason="error", error="no")
    assert analysis.load(study.path).problems == {}


def test_a_folder_that_is_no_trial_is_told_of_and_is_none(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    (tmp_path / "s/trials/notes").mkdir()
    (tmp_path / "s/trials/notes/readme.txt").write_text("mine")
    assert list(problems_of(study.path)) == ["trials/notes"]
    with pytest.warns(analysis.ProblemWarning):
        assert list(analysis.load(study.path).trials["trial_id"]) == ["0000"]


@pytest.mark.parametrize(
    ("event", "status"),
    [(None, "running"), ("study_finished", "lost"), ("study_interrupted", "lost")],
)
def test_a_trial_of_which_nobody_wrote_the_end_runs_only_while_the_study_does(
    tmp_path: Path, event: str | None, status: str
) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", status=None)
    if event is not None:
        study.event(event)
    assert list(analysis.load(study.path).trials["status"]) == [status]


def test_a_damaged_scan_is_warned_of_when_it_is_read(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    (tmp_path / "s/sensitivity.parquet").write_bytes(b"PAR1 nonsense")
    results = analysis.load(study.path)
    with pytest.warns(analysis.ProblemWarning, match=r"sensitivity\.parquet is damaged"):
        assert results.sensitivity.empty


def test_studies_are_named_by_as_much_of_their_path_as_it_takes() -> None:
    assert distinct_names(["/a/x/s", "/a/y/s/"]) == ["x/s", "y/s"]
    assert distinct_names(["s3://b/x/s", "/x/s"]) == ["b/x/s", "/x/s"]
    with pytest.raises(UsageError, match="given twice"):
        distinct_names(["/a/s", "/a/s"])
