from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import analysis
from study.errors import UsageError
from tests.analysis.study_folders import DENSE_EPOCHS, new_study, searched_study


def _studies(tmp_path: Path, seeds: int = 6) -> analysis.Results:
    paths = [
        searched_study(tmp_path / name, trials=30, seeds=range(seeds), name=name, rng_seed=place)
        for place, name in enumerate(("one", "two"))
    ]
    return analysis.load(paths)


def test_hypervolumes_of_studies_are_paired_by_seed(tmp_path: Path) -> None:
    both = _studies(tmp_path)
    row = analysis.compare_hypervolumes(both).iloc[0]
    rounds = both.rounds
    corner = analysis.hypervolume_history(both).attrs["reference"]
    volumes = {
        name: [
            analysis.hypervolume(
                rounds[(rounds["study"] == name) & (rounds["seed"] == seed)], reference=corner
            )
            for seed in range(6)
        ]
        for name in ("one", "two")
    }
    test = stats.ttest_rel(volumes["one"], volumes["two"])
    interval = test.confidence_interval(0.95)
    assert (row["a"], row["b"], row["n"]) == ("one", "two", 6)
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_ways_within_studies_are_paired_by_study_and_seed(tmp_path: Path) -> None:
    both = _studies(tmp_path, seeds=2)
    table = analysis.compare_hypervolumes(both, "saliency")
    assert table["n"].tolist() == [4]
    scores = analysis.hypervolume_scores(both, "saliency")
    wide = scores.pivot_table(index=["study", "seed"], columns="group", values="hypervolume")
    expected = (wide["magnitude"] - wide["random"]).mean()
    assert table["difference"].tolist() == pytest.approx([expected])


def test_within_a_budget_counts_what_was_found_by_then(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    # The second trial is the better one, and comes too late for the smaller budget.
    study.trial("a", rounds=1, sparsity=0.5, retrain_epochs=4.0, accuracy=0.8)
    study.trial("b", rounds=1, sparsity=0.9, retrain_epochs=4.0, accuracy=0.8)
    budgets = [DENSE_EPOCHS - 1, DENSE_EPOCHS + 4, DENSE_EPOCHS + 8]
    table = analysis.hypervolume_scores(
        analysis.load(tmp_path), budgets=budgets, reference={"val_accuracy": 0, "density": 1}
    )
    first = 0.8 * math.log10(2) / 2  # density counts by its ratio, from 1 to 0.01
    assert table["hypervolume"].tolist() == pytest.approx([0.0, first, 0.8 * 0.5], abs=1e-3)
    assert table["networks"].tolist() == [0, 1, 2]
    assert table["spent_train_epochs"].tolist() == [0.0, budgets[1], budgets[2]]


def test_each_group_pays_for_the_dense_run_that_it_needs(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for name, saliency in (("a", "magnitude"), ("b", "random")):
        study.trial(name, rounds=1, retrain_epochs=4.0, saliency=saliency)
    table = analysis.hypervolume_scores(analysis.load(tmp_path), "saliency")
    assert table["spent_train_epochs"].tolist() == [DENSE_EPOCHS + 4] * 2


def test_intervals_of_hypervolumes_hold_no_difference_where_there_is_none(tmp_path: Path) -> None:
    # Sixty pairs of groups without a difference, four seeds each.
    held, rng = 0, np.random.default_rng(2)
    for number in range(60):
        study = new_study(tmp_path / str(number))
        for seed in range(4):
            for saliency in ("magnitude", "random"):
                study.trial(
                    f"{saliency}{seed}", rounds=1, sparsity=0.9, seed=seed, saliency=saliency,
                    accuracy=0.9 + rng.normal(0, 0.01),
                )  # fmt: skip
        results = analysis.load(tmp_path / str(number))
        row = analysis.compare_hypervolumes(results, "saliency").iloc[0]
        held += row["low"] <= 0 <= row["high"]
    assert stats.binomtest(int(held), 60, 0.95).pvalue > 0.001


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    for name, model in (("one", "lenet300"), ("two", "lenet5")):
        new_study(tmp_path / name, name=name, model=model).trial("a")
    both = analysis.load([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(UsageError, match="needs studies of one task"):
        analysis.compare_hypervolumes(both)
    one = analysis.load(tmp_path / "one")
    with pytest.raises(UsageError, match="Did you mean 'retrain'"):
        analysis.compare_hypervolumes(one, "retrian")
    with pytest.raises(UsageError, match="density is nan"):
        analysis.compare_hypervolumes(one, reference={"val_accuracy": 0, "density": np.nan})
    with pytest.raises(UsageError, match="budgets: 0"):
        analysis.hypervolume_scores(one, budgets=[0])
