from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats.contingency import association as scipy_v

import analysis
from analysis.judging.cross_table import aliased, association, cross_table
from analysis.reporting.sections.schedule import confounded, schedule
from study.errors import UsageError
from tests.analysis.study_folders import new_study, searched_study

WAYS = ("finetune", "lr_rewind", "weight_rewind")


def test_it_counts_each_trial_once(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=40))
    table = cross_table(results, "retrain", "schedule")
    trials = results.trials[results.trials["rounds_finished"] > 0]
    expected = Counter(zip(trials["retrain"], trials["schedule"], strict=True))
    assert {(a, b): n for a, row in table.iterrows() for b, n in row.items() if n} == expected
    assert table.to_numpy().sum() == len(trials)
    assert list(table.index) == sorted(table.index)
    assert (table.index.name, table.columns.name) == ("retrain", "schedule")
    with pytest.raises(UsageError, match="a: unknown name 'retrian'"):
        cross_table(results, "retrian", "schedule")


def test_numbers_of_many_values_are_counted_by_quarters(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for number in range(12):
        study.trial(f"{number}", rounds=1, retrain_epochs=1.0 + number, retrain=WAYS[number % 2])
    table = cross_table(analysis.load(tmp_path), "retrain_epochs", "retrain")
    assert table.to_numpy().sum(axis=1).tolist() == [3, 3, 3, 3]


def test_settings_of_one_period_are_aliased_and_crossed_ones_are_not(tmp_path: Path) -> None:
    """A warm start that gives each way of retraining always the same length."""
    for name, length in (("aliased", lambda n: n % 3), ("crossed", lambda n: n // 3 % 3)):
        study = new_study(tmp_path / name)
        for number in range(18):
            study.trial(
                f"{number:02d}", rounds=1 + number % 2, retrain=WAYS[number % 3],
                retrain_epochs=float(1 + length(number)),
            )  # fmt: skip
    together = aliased(analysis.load(tmp_path / "aliased"))
    assert [(pair.a, pair.b, pair.trials) for pair in together] == [
        ("retrain", "retrain_epochs", 18)
    ]
    assert together[0].v == pytest.approx(1.0)
    told = confounded(analysis.load(tmp_path / "aliased"))
    assert len(told) == 1
    assert "retrain with retrain_epochs" in told[0]
    assert "cannot be told apart" in told[0]
    assert told[0] in schedule(analysis.load(tmp_path / "aliased")).sentences
    assert aliased(analysis.load(tmp_path / "crossed")) == []
    assert confounded(analysis.load(tmp_path / "crossed")) == []


def test_the_setting_with_more_values_is_named_first(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for number in range(24):
        study.trial(
            f"{number:02d}", rounds=1 + number % 4, retrain=WAYS[number % 2], retrain_epochs=2.0
        )
    assert [(pair.a, pair.b) for pair in aliased(analysis.load(tmp_path))] == [
        ("rounds", "retrain")
    ]


def test_what_varied_at_random_or_too_seldom_is_in_no_pair(tmp_path: Path) -> None:
    assert aliased(analysis.load(searched_study(tmp_path / "random", trials=48))) == []
    study = new_study(tmp_path / "few")
    for number in range(6):
        study.trial(f"{number}", rounds=1 + number % 2, retrain=WAYS[number % 2])
    assert aliased(analysis.load(tmp_path / "few")) == []


def test_settings_that_only_one_way_has_are_no_aliases_of_it(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for number in range(24):
        rewinds = number % 2 == 1
        study.trial(
            f"{number:02d}", rounds=1, retrain="weight_rewind" if rewinds else "finetune",
            rewind_epoch=float(number // 2 % 3) if rewinds else None,
        )  # fmt: skip
    assert aliased(analysis.load(tmp_path)) == []


def test_the_association_is_cramers_v_of_many_trials() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        counts = rng.integers(50_000, 400_000, (3, 4))
        assert association(counts)[0] == pytest.approx(scipy_v(counts), abs=2e-3)
    assert association(np.diag([5, 5, 5]))[0] == pytest.approx(1.0)
    # Eight trials with eight values tell anything: corrected, that is nothing.
    spread = np.eye(8, dtype=int)[:, [0, 1]]
    spread[2:5, 0], spread[5:, 1] = 1, 1
    assert association(spread)[0] == pytest.approx(0.0, abs=1e-6)
