"""What a search by stages has no use for goes into confirming what it found."""

from pathlib import Path
from typing import Any

import pytest

from study.commands.studies import confirming
from study.configuration.loading import load_config
from study.storage import Folder
from tests.analysis.study_folders import new_study
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("sampler", "own", "expected"),
    [
        ("tpe", {"num_samples": 40}, []),
        ("stages", {"num_samples": 40}, ["0001", "0000"]),
        ("stages", {"num_samples": 2}, []),
        ("stages", {"num_samples": 40, "train_samples_budget": 1}, []),
    ],
)
def test_unused_trials_confirm_the_best_descent_and_the_textbook_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    own: dict[str, Any],
    expected: list[str],
) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.95)
    study.trial("0001", rounds=1, sparsity=0.9, accuracy=0.96)
    again: list[str] = []
    monkeypatch.setattr(confirming, "run_again", lambda _, trial_id, *__: again.append(trial_id))
    config = load_config(
        {
            **SMALL,
            "study": {"name": "small", **own},
            "search": {"sampler": sampler, "textbook": True},
            "confirm": {"share": 0.01},
        }
    )
    confirming.confirm(Folder(tmp_path), config, lambda _: None)
    assert again == expected
