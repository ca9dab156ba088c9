from __future__ import annotations

from pathlib import Path

import pytest

import analysis
from analysis.spending.cost import working_s
from study.records import Event
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


@pytest.mark.parametrize("reason", ["future_dominated", "mo_asha"])
def test_what_a_stop_spared_is_saved_and_what_the_end_cut_off_is_not(
    tmp_path: Path, reason: str
) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=5, finished=2, retrain_epochs=3.0, status="stopped", reason=reason)
    for end in ("time_budget", "interrupted", "diverged"):
        study.trial(end, rounds=5, finished=2, retrain_epochs=3.0, status="stopped", reason=end)
    study.trial("b", rounds=5, retrain_epochs=2.0)
    summary = analysis.cost_summary(analysis.load(tmp_path))
    epochs = 3 * 3.0
    assert summary["saved_by_stopping_train_epochs"] == pytest.approx(epochs)
    # The folder's trials take half a second and 5,000 examples an epoch.
    assert summary["saved_by_stopping_wall_s"] == pytest.approx(epochs * 0.5)
    assert summary["saved_by_stopping_train_samples"] == pytest.approx(epochs * 5000)
    assert summary["saved_by_sharing_wall_s"] == pytest.approx(4 * DENSE_EPOCHS * 0.5)


@pytest.mark.parametrize("damaged", ["a", "b", "c"])
def test_a_lost_record_of_round_0_does_not_charge_the_dense_run_again(
    tmp_path: Path, damaged: str
) -> None:
    study = new_study(tmp_path)
    for name in ("a", "b", "c"):
        study.trial(name, rounds=3, finished=2, status="stopped", reason="mo_asha")
    whole = analysis.load(tmp_path)
    file = tmp_path / "trials" / damaged / "rounds.jsonl"
    file.write_text(file.read_text().replace('{"schema_version"', "{schema", 1))
    with pytest.warns(analysis.ProblemWarning):
        results = analysis.load(tmp_path)
    assert len(results.rounds) == len(whole.rounds) - 1
    assert analysis.cost_summary(results) == pytest.approx(analysis.cost_summary(whole))
    last = analysis.hypervolume_history(results).iloc[-1]
    assert last["train_epochs"] == DENSE_EPOCHS + 3 * 8.0


def test_the_bars_are_the_totals(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=20, seeds=(0, 1)))
    summary, bars = analysis.cost_summary(results), analysis.cost_data(results).iloc[0]
    spent = bars[["dense runs", "completed trials", "other trials"]].sum()
    assert spent == pytest.approx(summary["spent_train_epochs"])
    saved = summary["saved_by_sharing_train_epochs"]
    assert bars["saved by sharing dense runs"] == pytest.approx(saved)
    assert summary["charged_train_epochs"] == pytest.approx(spent + saved)
    assert summary["elapsed_s"] > 0


def test_the_scan_before_the_search_is_charged_in_examples(tmp_path: Path) -> None:
    plain = new_study(tmp_path / "plain")
    plain.trial("a", rounds=3)
    scanned = new_study(tmp_path / "scanned")
    scanned.event("sensitivity_scanned", thresholds={"fc1": 0.9}, train_samples=12_345)
    scanned.trial("a", rounds=3)
    without, found = (analysis.load(tmp_path / name) for name in ("plain", "scanned"))
    assert analysis.cost_summary(without)["scan_train_samples"] == 0
    summary = analysis.cost_summary(found)
    assert summary["scan_train_samples"] == 12_345
    for name in ("spent_train_samples", "charged_train_samples"):
        assert summary[name] == analysis.cost_summary(without)[name] + 12_345
    assert summary["spent_train_epochs"] == analysis.cost_summary(without)["spent_train_epochs"]
    courses = [analysis.hypervolume_history(each) for each in (without, found)]
    assert (courses[1]["train_samples"] - courses[0]["train_samples"]).tolist() == [12_345] * len(
        courses[0]
    )
    assert courses[1]["train_samples"].iloc[-1] == summary["spent_train_samples"]


def test_a_resumed_study_is_charged_once_for_its_scan(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=2)
    for _ in range(3):
        study.event("sensitivity_scanned", thresholds={}, train_samples=12_345)
    assert analysis.cost_summary(analysis.load(tmp_path))["scan_train_samples"] == 12_345


def test_time_in_which_nobody_ran_the_study_is_none_of_its_runs(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    lines = [
        ("study_started", "10:00:00"),
        ("search_started", "10:00:05"),
        ("study_resumed", "23:00:00"),
        ("study_finished", "23:00:09"),
    ]
    for event, at in lines:
        found = Event(event=event, at=f"2026-01-01T{at}.000+00:00")
        study.folder.append_line(found.to_json(), "events.jsonl")
    assert working_s(analysis.load(tmp_path))[-2:] == [5.0, 9.0]


def test_a_scan_of_an_older_study_is_not_known_to_have_cost_anything(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.event("sensitivity_scanned", thresholds={})
    study.trial("a", rounds=2)
    assert analysis.cost_summary(analysis.load(tmp_path))["scan_train_samples"] == 0


def test_an_empty_study_cost_nothing(tmp_path: Path) -> None:
    new_study(tmp_path)
    summary = analysis.cost_summary(analysis.load(tmp_path))
    assert summary["spent_train_epochs"] == 0
    assert summary["trials"] == 0
