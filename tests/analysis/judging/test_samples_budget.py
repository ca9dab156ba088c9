"""What is said of a search that has a budget of training examples, or ended because of it."""

import json
from pathlib import Path

import pytest

import analysis
from analysis.judging.samples_budget import samples_budget
from analysis.judging.status import status_text, study_status
from analysis.reporting.report import render_report
from study.errors import UsageError
from study.records import SAMPLES_SPENT
from tests.analysis.study_folders import (
    DENSE_EPOCHS,
    SAMPLES_PER_EPOCH,
    StudyFolder,
    new_study,
)

SCAN, RETRAIN_EPOCHS = 7_000, 4.0


def study_with(path: Path, budget: str) -> StudyFolder:
    """Two trials of three rounds, one of them on another seed too, after a scan."""
    study = new_study(path)
    text = study.folder.read("study.toml").decode()
    study.folder.write(
        text.replace("num_samples = 40\n", f"num_samples = 40\ntrain_samples_budget = {budget}\n"),
        "study.toml",
    )
    study.event("sensitivity_scanned", thresholds={}, train_samples=SCAN)
    for name in ("0000", "0001"):
        study.trial(name, rounds=3, retrain_epochs=RETRAIN_EPOCHS)
    study.replicate("0000", 5, [0.01, 0.02, 0.03])
    return study


SPENT = int(SCAN + (DENSE_EPOCHS + 2 * 3 * RETRAIN_EPOCHS) * SAMPLES_PER_EPOCH)


def test_a_search_that_it_did_not_end_says_how_far_it_is(tmp_path: Path) -> None:
    study_with(tmp_path, "1_000_000")
    results = analysis.load(tmp_path)
    found = samples_budget(results)
    assert found is not None
    assert (found.budget, found.spent, found.has_ended_it) == (1_000_000, SPENT, False)
    status = status_text(study_status(results))
    assert f"\n  trained on {SPENT:,} of 1,000,000 training examples" in status
    report = render_report(results, "md")
    assert f"the search took {SPENT:,} of 1,000,000 training examples" in report
    assert "spent" not in report.splitlines()[2]
    assert "The search ended because" not in report


def test_one_that_it_ended_says_so_until_it_goes_on(tmp_path: Path) -> None:
    study = study_with(tmp_path, "150_000")
    study.event(SAMPLES_SPENT, train_samples=SPENT, budget=150_000)
    study.event("study_finished")
    results = analysis.load(tmp_path)
    told = study_status(results)
    assert told["samples_budget"] == {"budget": 150_000, "spent": SPENT, "has_ended_it": True}
    assert f"its budget is spent: trained on {SPENT:,} of 150,000" in status_text(told)
    report = render_report(results, "md")
    subtitle = report.splitlines()[2]
    assert "ended after 2 of 40 trials" in subtitle
    assert "its budget of 150,000 training examples was spent" in subtitle
    assert "of 150,000 training examples, which ended it" in report
    assert (
        "The search ended because its budget of 150,000 training examples was spent; with the "
        f"trials that were under way then it took {SPENT:,}." in report
    )
    assert json.loads(render_report(results, "json"))["samples_budget"] == told["samples_budget"]
    study.event("study_resumed", num_samples=40)
    found = samples_budget(analysis.load(tmp_path))
    assert found is not None
    assert not found.has_ended_it


def test_a_study_without_one_says_nothing_of_it(tmp_path: Path) -> None:
    new_study(tmp_path).trial("0000")
    results = analysis.load(tmp_path)
    assert study_status(results)["samples_budget"] is None
    assert "budget" not in status_text(study_status(results))
    assert "training examples was spent" not in render_report(results, "md")


def test_one_that_is_no_number_is_refused_by_name(tmp_path: Path) -> None:
    study_with(tmp_path, '"many"')
    with pytest.raises(UsageError, match=r"study\.toml.*train_samples_budget"):
        analysis.load(tmp_path)
