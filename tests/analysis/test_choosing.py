from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

import analysis
from tests.analysis.study_folders import new_study, searched_study


def test_the_smallest_within_a_drop_is_found_among_all(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=40))
    rounds = results.rounds
    dense = rounds.loc[rounds["round"] == 0, "val_accuracy"].iloc[0]
    for _, row in analysis.smallest_within(results, (0.0, 0.01, 0.05)).iterrows():
        good = [
            candidate
            for candidate in rounds.to_dict("records")
            if candidate["round"] > 0
            and dense - candidate["val_accuracy"] <= row["tolerated_drop"] + 1e-12
        ]
        best = min(good, key=lambda candidate: candidate["density"])
        assert (row["trial_id"], row["round"]) == (best["trial_id"], best["round"])


def test_over_seeds_the_mean_decides_and_the_drop_is_paired(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    dense, pruned = {0: 0.90, 1: 0.80, 2: 0.94}, {0: 0.89, 1: 0.80, 2: 0.91}
    for seed in dense:
        study.trial(f"p{seed}", sparsity=0.9, rounds=1, seed=seed)
    results = analysis.load(tmp_path)
    rounds = results.rounds
    for seed in dense:
        rounds.loc[(rounds["seed"] == seed) & (rounds["round"] == 0), "val_accuracy"] = dense[seed]
        rounds.loc[(rounds["seed"] == seed) & (rounds["round"] == 1), "val_accuracy"] = pruned[seed]
    network = analysis.networks(results).iloc[0]
    drops = [dense[seed] - pruned[seed] for seed in dense]
    interval = analysis.t_interval(drops)
    assert network["n"] == 3
    assert network["accuracy_drop"] == pytest.approx(interval.mean)
    assert (network["drop_low"], network["drop_high"]) == pytest.approx(interval[1:3])
    assert network["val_accuracy"] == pytest.approx(sum(pruned.values()) / 3)


def test_a_seed_that_was_run_twice_is_one_seed(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", sparsity=0.9, rounds=1, seed=0, accuracy=0.9)
    study.trial("b", sparsity=0.9, rounds=1, seed=0, accuracy=0.8)
    network = analysis.networks(analysis.load(tmp_path)).iloc[0]
    assert network["n"] == 1
    assert network["val_accuracy"] == pytest.approx(0.85)
    assert math.isnan(network["drop_low"])


def test_nothing_good_enough_is_a_row_without_a_network(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", sparsity=0.5, rounds=1, accuracy=0.5)
    results = analysis.load(tmp_path)
    results.rounds.loc[results.rounds["round"] == 0, "val_accuracy"] = 0.9
    table = analysis.smallest_within(results, (0.0, 0.5))
    assert table["trial_id"].isna().tolist() == [True, False]
    assert table["n"].tolist() == [0, 1]
    assert analysis.best_at_density(results, (0.1,))["val_accuracy"].isna().all()


def test_best_at_a_density_is_no_denser(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=40))
    table = analysis.best_at_density(results, (0.5, 0.2, 0.1))
    pruned = results.rounds[results.rounds["round"] > 0]
    for _, row in table.dropna().iterrows():
        assert row["density"] <= row["at_most_density"]
        inside = pruned.loc[pruned["density"] <= row["at_most_density"], "val_accuracy"]
        assert row["val_accuracy"] == inside.max()


def test_operating_points_lie_near_their_ratio(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=40))
    table = analysis.operating_points(results).dropna(subset=["val_accuracy"])
    assert len(table) >= 3
    assert (table["compression_ratio"] / table["near_ratio"]).between(0.8, 1.25).all()


def test_the_knee_is_the_corner_of_a_bent_front() -> None:
    points = pd.DataFrame(
        {
            "val_accuracy": [0.98, 0.975, 0.97, 0.80, 0.50],
            "density": [1.0, 0.6, 0.1, 0.08, 0.05],
        }
    )
    knee = analysis.knee_point(points)
    assert knee is not None
    assert knee["density"] == 0.1


def test_a_straight_or_short_front_has_no_knee() -> None:
    line = pd.DataFrame({"val_accuracy": [0.9, 0.8, 0.7], "density": [0.9, 0.8, 0.7]})
    assert analysis.knee_point(line) is None
    assert analysis.knee_point(line.head(2)) is None
    assert analysis.knee_point(line.head(0)) is None


def test_the_knee_in_three_objectives_is_nearest_to_the_ideal() -> None:
    rows = [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0), (0.2, 0.2, 0.2)]
    points = pd.DataFrame(rows, columns=["a", "b", "c"])
    knee = analysis.knee_point(points, {"a": "min", "b": "min", "c": "min"})
    assert knee is not None
    assert knee["a"] == 0.2
