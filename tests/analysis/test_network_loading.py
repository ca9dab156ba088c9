"""A network in one call from the analysis, which itself needs no torch."""

import shutil
from pathlib import Path

import pytest
import torch

import analysis
import study
from study.errors import UsageError

pytestmark = pytest.mark.slow


def test_it_is_the_one_that_the_study_loads(small_study: Path, tmp_path: Path) -> None:
    results = analysis.load(small_study)
    row = results.rounds[results.rounds["round"] > 0].iloc[0]
    wanted = study.load_network(small_study, row["trial_id"], int(row["round"])).state_dict()
    for source in (results, small_study):
        found = analysis.load_network(source, row["trial_id"], row["round"]).state_dict()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    several = analysis.load([small_study, shutil.copytree(small_study, tmp_path / "small")])
    trial = several.trials["trial_id"].iloc[0]
    assert trial != results.trials["trial_id"].iloc[0]
    assert analysis.load_network(several, trial).training is False


def test_a_trial_that_there_is_not_is_said(small_study: Path) -> None:
    with pytest.raises(UsageError, match="0099"):
        analysis.load_network(analysis.load(small_study), "0099")
