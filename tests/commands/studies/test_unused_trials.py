"""What a search by stages does not take goes into confirming what it found."""

from pathlib import Path
from typing import Any

import pytest

from study.commands.studies import confirming
from study.configuration.loading import load_config
from study.storage import Folder
from tests.analysis.study_folders import StudyFolder, new_study
from tests.conftest import SMALL


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """The textbook run, one that is better, and one that is nearly so."""
    study = new_study(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    study.folder.write(text.replace("[search]\n", "[search]\ntextbook = true\n"), "study.toml")
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.94)
    study.trial("0001", rounds=1, sparsity=0.9, accuracy=0.96)
    study.trial("0002", rounds=1, sparsity=0.9, accuracy=0.955)
    return study


@pytest.fixture
def again(study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trials that are run again, in order."""
    found: list[str] = []

    def run_again(_: Folder, trial_id: str, last: int, seeds: int, __: Any) -> None:
        found.append(trial_id)
        for seed in range(100, 100 + seeds):
            study.replicate(trial_id, seed, [0.01] * last, sparsity=0.9)

    monkeypatch.setattr(confirming, "run_again", run_again)
    return found


def confirm(study: StudyFolder, sampler: str, **own: int) -> None:
    tables = {
        **SMALL,
        "study": {"name": "small", **own},
        "search": {"sampler": sampler, "textbook": True},
        "confirm": {"share": 0.01},
    }
    confirming.confirm(Folder(study.path), load_config(tables), lambda _: None)


def test_unused_trials_confirm_the_best_descent_and_the_textbook_run_alone(
    study: StudyFolder, again: list[str]
) -> None:
    confirm(study, "stages", num_samples=60)
    assert again == ["0001", "0000"]


def test_they_do_so_for_a_best_descent_that_is_found_later(
    study: StudyFolder, again: list[str]
) -> None:
    confirm(study, "stages", num_samples=60)
    study.trial("0003", rounds=1, sparsity=0.9, accuracy=0.97)
    confirm(study, "stages", num_samples=120)
    assert again == ["0001", "0000", "0003"]


@pytest.mark.parametrize(
    ("sampler", "own"),
    [
        ("tpe", {"num_samples": 60}),
        ("stages", {"num_samples": 3}),
        ("stages", {"num_samples": 60, "train_samples_budget": 1}),
    ],
)
def test_where_nothing_is_left_the_share_alone_counts(
    study: StudyFolder, again: list[str], sampler: str, own: dict[str, int]
) -> None:
    confirm(study, sampler, **own)
    assert again == []
