from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.comparing.farthest import Farthest, farthest_groups
from analysis.reporting.sections.schedule import ranking_text, schedule
from analysis.statistics.best_of import expected_best
from tests.analysis.study_folders import ACCURACY, PERPLEXITY, new_study


def _study(
    path: Path, trials: dict[str, tuple[int, float]], seeds: int = 1
) -> tuple[analysis.Results, dict[tuple[str, int], list[float]]]:
    """So many trials a seed of each way of retraining, around an accuracy."""
    study, rng = new_study(path), np.random.default_rng(0)
    values: dict[tuple[str, int], list[float]] = {}
    for seed in range(seeds):
        for mode, (count, centre) in trials.items():
            for number in range(count):
                accuracy = float(centre + rng.normal(0, 0.01))
                values.setdefault((mode, seed), []).append(accuracy)
                study.trial(
                    f"{mode}{seed}{number:02d}", rounds=1, sparsity=0.96, retrain=mode, seed=seed,
                    accuracy=accuracy,
                )  # fmt: skip
    return analysis.load(path), values


def test_the_best_of_many_is_not_set_against_the_best_of_few(tmp_path: Path) -> None:
    results, values = _study(tmp_path, {"finetune": (4, 0.9), "lr_rewind": (20, 0.9)}, seeds=2)
    table = analysis.scores(results, "retrain", densities=[0.05])
    for row in table.to_dict("records"):
        own = values[str(row["group"]), int(row["seed"])]
        assert row["val_accuracy"] == pytest.approx(expected_best(own, 4))
        assert (row["trials"], row["k"], row["networks"]) == (len(own), 4, len(own))
    compared = analysis.compare(results, "retrain", densities=[0.05]).iloc[0]
    assert compared[["trials_a", "trials_b", "k_a", "k_b"]].tolist() == [4, 20, 4, 4]
    pair = farthest_groups(results, "retrain", 0.05)
    assert pair is not None
    assert pair.k == (4, 4)
    assert dict(zip(pair.names, pair.trials, strict=True)) == {"finetune": 8, "lr_rewind": 40}
    means = table.groupby("group")["val_accuracy"].mean()
    assert pair.expected == pytest.approx(sorted(means, reverse=True))
    assert pair.low <= 0 <= pair.high


def test_a_trial_counts_once_however_many_rounds_it_has(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for number in range(3):
        study.trial(f"a{number}", rounds=6, sparsity=0.9999, retrain="finetune")
        study.trial(f"b{number}", rounds=1, sparsity=0.96, retrain="lr_rewind")
    table = analysis.scores(analysis.load(tmp_path), "retrain", densities=[0.05])
    assert table["trials"].tolist() == [3, 3]
    assert table["k"].tolist() == [3, 3]
    assert table["networks"].iloc[0] > 3


def _told(pair: Farthest | None) -> str:
    assert pair is not None
    return ranking_text(pair, ACCURACY, "retrain")


def test_from_one_trial_or_one_seed_nothing_is_ranked(tmp_path: Path) -> None:
    results, _ = _study(tmp_path / "a", {"finetune": (2, 0.8), "lr_rewind": (20, 0.95)}, seeds=1)
    told = _told(farthest_groups(results, "retrain", 0.05))
    assert "too few to rank, for finetune has 2 trials with such a network" in told
    assert "Run more trials" in told
    results, _ = _study(tmp_path / "b", {"finetune": (5, 0.8), "lr_rewind": (20, 0.95)}, seeds=1)
    told = _told(farthest_groups(results, "retrain", 0.05))
    assert "too few to rank, for all are of one seed" in told
    assert "prune-study compare DIR DIR DIR --by retrain" in told
    assert "the best of 5 trials is expected at" in told
    assert "(of 20 trials)" in told
    for text in schedule(results).figures:
        assert " points above " not in text.finding


def test_a_difference_that_may_be_none_is_not_ranked_and_a_clear_one_is(tmp_path: Path) -> None:
    results, _ = _study(tmp_path / "a", {"finetune": (5, 0.9), "lr_rewind": (9, 0.9)}, seeds=2)
    told = _told(farthest_groups(results, "retrain", 0.05))
    assert "the difference may be none (95 % interval" in told
    assert "further --seed values" in told
    results, _ = _study(tmp_path / "b", {"finetune": (5, 0.8), "lr_rewind": (9, 0.95)}, seeds=2)
    told = _told(farthest_groups(results, "retrain", 0.05))
    assert "too few" not in told
    assert "lr_rewind is 15." in told
    assert " points above finetune (95 % interval 1" in told
    assert "over 2 seeds)" in told


def test_the_interval_is_wider_where_the_farthest_of_many_pairs_is_told(tmp_path: Path) -> None:
    modes = {"finetune": (5, 0.9), "lr_rewind": (5, 0.93)}
    two, _ = _study(tmp_path / "two", modes, seeds=2)
    three, _ = _study(tmp_path / "three", {**modes, "reinit": (5, 0.915)}, seeds=2)
    of_two, of_three = (farthest_groups(each, "retrain", 0.05) for each in (two, three))
    assert of_two is not None
    assert of_three is not None
    assert (of_two.pairs, of_three.pairs) == (1, 3)
    assert "corrected for 3 pairs" in ranking_text(of_three, ACCURACY, "retrain")


def test_of_a_perplexity_the_least_is_the_best() -> None:
    pair = Farthest(0.05, ("a", "b"), (20.0, 30.0), (9, 9), (3, 3), -13.0, -7.0, 1)
    told = ranking_text(pair, PERPLEXITY, "retrain")
    assert "a is 33.3 % below b" in told


def test_groups_on_different_seeds_are_not_compared(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=1, sparsity=0.96, retrain="finetune", seed=0)
    study.trial("b", rounds=1, sparsity=0.96, retrain="lr_rewind", seed=1)
    assert farthest_groups(analysis.load(tmp_path), "retrain", 0.05) is None


def test_a_level_that_both_reached_often_is_told_before_a_sparser_one(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for mode in ("finetune", "lr_rewind"):
        study.trial(f"{mode}-once", rounds=1, sparsity=0.96, retrain=mode)
        for number in range(4):
            study.trial(f"{mode}{number}", rounds=1, sparsity=0.92, retrain=mode)
    findings = [each.finding for each in schedule(analysis.load(tmp_path)).figures]
    told = next(finding for finding in findings if finding.startswith("By retrain"))
    assert "keep at most 10 %, the best of 5 trials is expected" in told


def test_numbers_are_told_with_what_they_are() -> None:
    pair = Farthest(0.05, ("0", "2"), (0.9, 0.8), (9, 9), (9,), 0.0, 0.2, 1)
    told = ranking_text(pair, ACCURACY, "rewind_epoch")
    assert "with rewind epoch 0 (of 9 trials)" in told
