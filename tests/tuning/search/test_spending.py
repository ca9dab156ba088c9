"""What a search has trained on, and how it ends when that is its budget; without Ray."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from analysis.spending.spending import scan_train_samples
from analysis.statistics.replicates import searched
from study.storage import Folder
from study.tuning.search.past import read_past
from study.tuning.search.searcher import PlanSearcher
from study.tuning.search.spending import Spending, spending_of
from study.tuning.search.stages.deciding import Deciding
from tests.analysis.study_folders import new_study
from tests.tuning.search.stages.made_up import aim
from tests.tuning.search.test_extension import FLAT, taught
from tests.tuning.search.test_searcher import (
    A_ROUND,
    DENSE,
    ask,
    past_trial,
    result,
    run_trial,
    searcher,
)

ROUNDS = 4
"""Of each trial of a searcher, unless it is given stages."""


def trained(trials: int) -> int:
    """Examples of so many trials that share their dense run."""
    return DENSE + trials * ROUNDS * A_ROUND


def trials_until_its_end(own: PlanSearcher, before: int = 0) -> int:
    """How many trials run, one after the other, until the searcher says that it is over."""
    for number in range(before, 100):
        config = own.suggest(str(number))
        if not isinstance(config, dict):
            assert config == "FINISHED"
            return number
        rounds = config["plan"]["rounds"]
        for round_ in range(rounds):
            own.on_trial_result(str(number), result(round_))
        own.on_trial_complete(str(number), {**result(rounds), "done": True})
    raise AssertionError("it does not end")


TRIALS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=6)
"""Seed and rounds of each, and whether its record of the dense network is lost."""


@given(TRIALS, st.randoms(use_true_random=False))
def test_what_is_counted_is_what_the_analysis_charges(
    trials: list[tuple[int, int, bool]], chance: Any
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "study": "s", "trial_id": f"{number:04d}", "seed": seed, "round": round_,
            "train_samples": 500 + 70 * seed + (10 + number) * round_, "train_epochs": 0.0,
            "wall_s": 0.0, "finished_at": f"{number:04d}-{round_}",
        }
        for number, (seed, rounds, is_lost) in enumerate(trials)
        for round_ in range(int(is_lost), rounds + 1)
    ]  # fmt: skip
    told = [*rows, *chance.choices(rows, k=3)] if rows else []  # some of them again
    chance.shuffle(told)
    own = Spending()
    for row in told:
        own.note(row["trial_id"], row["seed"], row)
    columns = ["study", "trial_id", "seed", "round", "train_samples", "train_epochs", "wall_s",
               "finished_at"]  # fmt: skip
    charged = analysis.round_costs(pd.DataFrame(rows, columns=columns))["train_samples"].sum()
    assert own.spent == pytest.approx(charged)


def test_the_records_of_a_study_come_to_what_the_analysis_charges(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for _ in range(2):  # a study that is resumed tells of its scan again
        study.event("sensitivity_scanned", thresholds={}, train_samples=12_345)
    study.trial("0000", rounds=4)
    study.trial("0001", rounds=3, finished=1, status="stopped", reason="future_dominated")
    study.trial("0002", rounds=3, finished=2, status="errored", reason="error")
    study.trial("0003", rounds=5, finished=2, status=None)
    study.trial("0004", rounds=2, seed=1)
    study.replicate("0000", 7, [0.01, 0.02, 0.03, 0.04])
    found, folder = analysis.load(tmp_path), Folder(tmp_path)
    charged = analysis.round_costs(searched(found).rounds)["train_samples"].sum()
    spent = spending_of(folder, read_past(folder)).spent
    assert spent == charged + scan_train_samples(found) > 12_345
    assert spent < analysis.cost_summary(found)["spent_train_samples"]  # the replicate's too


def test_without_a_budget_it_is_never_spent() -> None:
    assert not Spending(None, scanned=1e18).is_spent
    assert Spending(10, scanned=10).is_spent
    assert not Spending(10, scanned=9).is_spent


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
@pytest.mark.parametrize(
    ("budget", "trials"),
    [(1, 1), (trained(1), 1), (trained(1) + 1, 2), (trained(3), 3), (trained(3) + 1, 4)],
)
def test_no_trial_begins_once_as_many_examples_were_trained_on(
    sampler: str, budget: int, trials: int
) -> None:
    spending = Spending(budget)
    own, _ = searcher(sampler=sampler, num_samples=50, spending=spending)
    assert not own.is_over
    assert trials_until_its_end(own) == trials
    assert spending.spent == trained(trials) >= budget
    assert own.is_over
    assert not own.has_all


def test_of_a_search_by_stages_none_begins_either() -> None:
    purpose = aim(form="global", allocation=["lamp", "erk"])
    textbook = DENSE + 21 * A_ROUND
    for budget, trials in ((textbook, 1), (textbook + 1, 2)):
        spending = Spending(budget)
        own, _ = searcher(stages=Deciding(purpose, ()), num_samples=50, spending=spending)
        assert trials_until_its_end(own) == trials
        assert not own.is_settled


def test_the_scan_before_the_search_counts() -> None:
    own, _ = searcher(spending=Spending(trained(2), scanned=trained(2) - DENSE))
    assert trials_until_its_end(own) == 1
    spent, _ = searcher(spending=Spending(100, scanned=100))
    assert spent.is_over
    assert spent.suggest("a") == "FINISHED"


def test_what_is_under_way_counts_as_far_as_it_is_and_runs_to_its_end() -> None:
    spending = Spending(DENSE + A_ROUND)
    own, study = searcher(spending=spending)
    ask(own, "a")
    ask(own, "b")
    own.on_trial_result("a", result(0))
    assert isinstance(own.suggest("c"), dict)
    own.on_trial_result("a", result(1))
    assert own.suggest("d") == "FINISHED"
    for ray_id in ("a", "b", "c"):
        for round_ in range(ROUNDS):
            own.on_trial_result(ray_id, result(round_))
        own.on_trial_complete(ray_id, {**result(ROUNDS), "done": True})
    assert [t.state.name for t in study.trials if "round" not in t.user_attrs] == ["COMPLETE"] * 3
    assert spending.spent == trained(3)


def test_a_search_that_goes_on_counts_what_was_spent_and_ends_what_was_under_way() -> None:
    own, study = searcher(spending=Spending(trained(1) + 1))
    whole, cut_off = run_trial(own, "a"), ask(own, "b")
    past = (
        past_trial("0000", whole, ROUNDS, "completed"),
        past_trial("0001", cut_off, 1),
    )
    for budget, further in ((trained(1) + 1, 0), (trained(2), 0), (trained(2) + 1, 1)):
        spending = Spending(budget)
        for trial in past:
            for each in trial.results:
                spending.note(trial.name, trial.plan.seed, each)
        assert spending.spent == trained(1) + A_ROUND
        again, _ = searcher(past=past, spending=spending, study=study)
        assert not again.is_over  # the one that was cut off was begun, and is to end
        assert trials_until_its_end(again) == 1 + further


def test_none_is_lengthened_either_and_further_rounds_count() -> None:
    spent, _ = searcher(spending=Spending(1, scanned=1), extensions=taught(FLAT))
    assert spent.suggest("a") == "FINISHED"
    spending = Spending(trained(1))
    for round_ in range(3):
        spending.note("best", 0, result(round_))
    own, _ = searcher(spending=spending, extensions=taught(FLAT))
    longer = own.suggest("a")
    assert isinstance(longer, dict)
    assert (longer["id"], longer["first_round"]) == ("best", 2)
    own.on_trial_result("a", result(3))
    assert spending.spent == DENSE + 3 * A_ROUND
