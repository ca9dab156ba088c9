"""A study at one size confirms the network that it was run for, whatever share is set aside."""

from pathlib import Path

import pytest

from study.commands.studies import confirming
from study.configuration.loading import load_config
from study.storage import Folder
from tests.analysis.study_folders import new_study
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("target", "expected"), [('target = "density <= 0.2"', ["0001"]), ("", [])]
)
def test_its_answer_may_take_more_than_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, expected: list[str]
) -> None:
    study = new_study(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    study.folder.write(text.replace("[search]\n", f"[search]\n{target}\n"), "study.toml")
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.95)
    study.trial("0001", rounds=1, sparsity=0.9, accuracy=0.96)
    again: list[str] = []
    monkeypatch.setattr(confirming, "run_again", lambda _, trial_id, *__: again.append(trial_id))
    config = load_config({**SMALL, "confirm": {"share": 0.01}})
    confirming.confirm(Folder(tmp_path), config, lambda _: None)
    assert again == expected
