from __future__ import annotations

from pathlib import Path

import pytest

import analysis
from tests.analysis.study_folders import DENSE_EPOCHS, new_study, searched_study


def test_a_dense_run_is_charged_to_every_point_but_paid_for_once_a_seed(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=2, retrain_epochs=3.0, seed=0)
    study.trial("b", rounds=1, retrain_epochs=5.0, seed=0)
    study.trial("c", rounds=1, retrain_epochs=5.0, seed=1)
    costs = analysis.trial_costs(analysis.load(tmp_path)).set_index("trial_id")
    assert costs["train_epochs"].to_dict() == {
        "a": DENSE_EPOCHS + 6,
        "b": DENSE_EPOCHS + 5,
        "c": DENSE_EPOCHS + 5,
    }
    assert costs["spent_train_epochs"].to_dict() == {
        "a": DENSE_EPOCHS + 6,
        "b": 5,
        "c": DENSE_EPOCHS + 5,
    }


def test_round_costs_add_up_to_what_was_charged(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=20, seeds=(0, 1)))
    rounds = results.rounds.sample(frac=1.0, random_state=0)
    added = analysis.round_costs(rounds)
    assert added.index.equals(rounds.index)
    for _, trial in rounds.groupby("trial_id"):
        own = added.loc[trial.index, "train_epochs"]
        charged = trial["train_epochs"].max()
        dense = own[trial["round"] == 0].sum()
        assert dense in (0.0, DENSE_EPOCHS)
        assert own.sum() == pytest.approx(charged - (DENSE_EPOCHS - dense))
    assert added.loc[rounds["round"] == 0, "train_epochs"].sum() == 2 * DENSE_EPOCHS


def test_a_stopped_trial_spares_its_missing_rounds_at_its_own_pace(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=5, finished=2, retrain_epochs=3.0, status="stopped", reason="x")
    study.trial("b", rounds=5, finished=0, retrain_epochs=2.0, status="stopped", reason="x")
    study.trial("c", rounds=5, finished=2, status="errored", reason="error")
    spared = analysis.trial_costs(analysis.load(tmp_path)).set_index("trial_id")
    assert spared["spared_train_epochs"].to_dict() == {"a": 9.0, "b": 10.0, "c": 0.0}


def test_the_bars_are_the_totals(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=20, seeds=(0, 1)))
    summary, bars = analysis.cost_summary(results), analysis.cost_data(results).iloc[0]
    spent = bars[["dense runs", "completed trials", "other trials"]].sum()
    assert spent == pytest.approx(summary["spent_train_epochs"])
    saved = summary["saved_by_sharing_train_epochs"]
    assert bars["saved by sharing dense runs"] == pytest.approx(saved)
    assert summary["charged_train_epochs"] == pytest.approx(spent + saved)
    assert summary["elapsed_s"] > 0


def test_an_empty_study_cost_nothing(tmp_path: Path) -> None:
    new_study(tmp_path)
    summary = analysis.cost_summary(analysis.load(tmp_path))
    assert summary["spent_train_epochs"] == 0
    assert summary["trials"] == 0
