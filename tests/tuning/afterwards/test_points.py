"""Which trial a command means."""

from pathlib import Path

import pytest

from study.errors import UsageError
from study.tuning.afterwards.points import find_searched
from tests.analysis.study_folders import new_study


def test_a_replicate_is_no_trial_to_run_again(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1)
    name = study.replicate("0000", 1, [0.0])
    with pytest.raises(UsageError, match=f"--trial: {name!r} is a replicate.* of trial 0000; give"):
        find_searched(study.folder, name)


def test_only_trials_of_the_search_are_offered(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1)
    study.replicate("0000", 1, [0.0])
    with pytest.raises(UsageError, match=r"Allowed: 0000\.$"):
        find_searched(study.folder, "0000-round-1-seed-7")
