"""Early stopping and extension in a real study on a real Ray."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import study
from study.configuration.loading import load_config
from study.errors import UsageError
from study.pruning import PruningPlan, run_pipeline
from study.records import RoundRecord, TrialOutcome
from study.tasks import load_task
from study.tuning.preparing import prepare
from tests.conftest import SMALL


def config(**search: Any) -> dict[str, Any]:
    """A study that stops the same trials every time: of one worker, so of one order of results."""
    return {
        **SMALL,
        "study": {"name": "stopping", "num_samples": 36},
        "space": {**SMALL["space"], "rounds": [1, 5], "schedule": ["geometric", "cubic"]},
        "search": {"sampler": "random", "warm_start": ["global"], "textbook": False, **search},
    }


def outcomes_of(folder: Path) -> dict[str, TrialOutcome]:
    paths = sorted(folder.glob("trials/*/outcome.json"))
    return {p.parent.name: TrialOutcome.model_validate_json(p.read_text()) for p in paths}


def rounds_of(folder: Path, trial: str) -> list[RoundRecord]:
    lines = (folder / "trials" / trial / "rounds.jsonl").read_text().splitlines()
    return [RoundRecord.model_validate_json(line) for line in lines]


@pytest.mark.slow
def test_hopeless_trials_stop_with_the_bound_that_says_so_and_leaders_go_on(
    ray_cluster: None, tmp_path: Path
) -> None:
    tables = config(stopping_confidence=0.7, stopping_audit=0.3, extend=True, warm_start=[])
    folder = Path(study.run(tables, storage_path=tmp_path, seed=1))
    outcomes = outcomes_of(folder)
    assert len(outcomes) == 36
    stopped = {k: v for k, v in outcomes.items() if v.stop_reason == "future_dominated"}
    assert stopped
    for trial, outcome in stopped.items():
        detail = outcome.stop_detail
        assert detail is not None
        assert outcome.rounds_finished == detail["round"] == rounds_of(folder, trial)[-1].round
        assert outcome.rounds_finished < outcome.rounds_planned
        assert detail["gain_bound"] < detail["shortfall"]
        assert [c["round"] for c in detail["coming"]] == [
            *range(detail["round"] + 1, outcome.rounds_planned + 1)
        ]
    audited = [o for o in outcomes.values() if o.stop_detail and o.stop_detail.get("audited")]
    assert all(isinstance((o.stop_detail or {})["reached_front"], bool) for o in audited)
    assert not list(folder.glob("trials/*/resume"))

    task = load_task(**load_config(SMALL).task.load_arguments())
    events = (folder / "events.jsonl").read_text()
    extended = [t for t in outcomes if events.count(f'"trial_completed","trial_id":"{t}"') > 1]
    assert extended
    for trial in extended:
        plan = PruningPlan.model_validate_json((folder / f"trials/{trial}/plan.json").read_text())
        records = rounds_of(folder, trial)
        assert [record.round for record in records] == list(range(plan.rounds + 1))
        for alone, recorded in zip(run_pipeline(plan, task), records, strict=True):
            assert alone.mask_hash == recorded.mask_hash
            assert alone.val_accuracy == recorded.val_accuracy
            assert alone.train_samples == recorded.train_samples

    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    states = {t.state.name for t in optuna.load_study(study_name=None, storage=storage).trials}
    assert states <= {"COMPLETE", "FAIL"}


@pytest.mark.slow
def test_outranked_trials_stop_at_a_rung(ray_cluster: None, tmp_path: Path) -> None:
    folder = Path(study.run(config(early_stopping="mo_asha"), storage_path=tmp_path))
    stopped = [o for o in outcomes_of(folder).values() if o.stop_reason == "mo_asha"]
    assert stopped
    for outcome in stopped:
        assert outcome.stop_detail is not None
        assert outcome.stop_detail["better"] >= outcome.stop_detail["trials"] // 3


@pytest.mark.parametrize("search", [{"early_stopping": "future_dominated"}, {"extend": True}])
def test_two_qualities_cannot_be_compared_at_equal_cost(
    search: dict[str, Any], tmp_path: Path
) -> None:
    objectives = {"accuracy": "max", "loss": "min", "density": "min"}
    tables = {**config(**search), "objectives": objectives}
    tables["study"] = {**tables["study"], "storage_path": str(tmp_path)}
    with pytest.raises(UsageError, match="one metric"):
        prepare(load_config(tables))
    assert not list(tmp_path.iterdir())


def test_by_default_nothing_stops_early_where_rounds_cannot_be_compared() -> None:
    tables = {**SMALL, "objectives": {"accuracy": "max", "loss": "min"}}
    assert load_config(tables).search.early_stopping == "none"
    assert load_config(SMALL).search.early_stopping == "future_dominated"


@pytest.mark.slow
def test_a_time_budget_ends_a_study_and_what_it_cut_off_stays_open(
    ray_cluster: None, tmp_path: Path
) -> None:
    tables = config()
    tables["study"] = {"name": "budget", "num_samples": 500, "time_budget_s": 4}
    folder = Path(study.run(tables, storage_path=tmp_path))
    cut_off = [o for o in outcomes_of(folder).values() if o.status == "stopped"]
    assert {o.stop_reason for o in cut_off} <= {"time_budget", "future_dominated"}
    assert len(outcomes_of(folder)) < 500
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    trials = optuna.load_study(study_name=None, storage=storage).trials
    open_ones = {t.user_attrs["trial_id"] for t in trials if t.state.name == "RUNNING"}
    ended = {o.trial_id for o in outcomes_of(folder).values() if o.stop_reason != "time_budget"}
    asked = {path.parent.name for path in folder.glob("trials/*/plan.json")}
    assert open_ones == asked - ended  # those that had no worker yet among them
