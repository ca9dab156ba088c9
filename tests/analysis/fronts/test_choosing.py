from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

import analysis
from analysis.reading.trials import PLAN_COLUMNS
from analysis.statistics.replicates import MEASURES
from study.errors import UsageError
from tests.analysis.study_folders import new_study, searched_study

RECIPES = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(0, 4), min_size=1, max_size=3)),
    min_size=1,
    max_size=8,
)
"""Tenths of a density, and of the drops over seeds."""


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


def test_chosen_networks_come_with_their_spread_at_the_confidence_asked(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    values = [0.90, 0.93, 0.91]
    for seed, accuracy in enumerate(values):
        study.trial(f"p{seed}", sparsity=0.9, rounds=1, seed=seed, accuracy=accuracy)
    row = analysis.best_at_density(analysis.load(tmp_path), (0.2,), confidence=0.8).iloc[0]
    assert row["accuracy_std"] == pytest.approx(statistics.stdev(values))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.8)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(expected))
    # Dense and pruned have one accuracy here: no seed loses anything.
    assert (row["accuracy_drop"], row["drop_std"]) == (0, 0)


def test_to_be_sure_the_whole_interval_must_be_tolerable(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for seed, small in enumerate((0.892, 0.898, 0.895)):
        study.trial(f"large{seed}", sparsity=0.5, rounds=1, seed=seed, accuracy=0.9)
        study.trial(f"small{seed}", sparsity=0.9, rounds=1, seed=seed, accuracy=small)
    study.trial("once", sparsity=0.95, rounds=1, seed=0, accuracy=0.9)
    results = analysis.load(tmp_path)
    results.rounds.loc[results.rounds["round"] == 0, "val_accuracy"] = 0.9
    chosen = {
        sure: analysis.smallest_within(results, (0.0, 0.01, 0.05), sure=sure)["trial_id"].tolist()
        for sure in (False, True)
    }
    assert chosen[False] == ["once", "once", "once"]
    assert chosen[True] == ["large0", "large0", "small0"]


def test_each_of_several_studies_has_its_own_choice_and_knee(tmp_path: Path) -> None:
    paths = [
        searched_study(tmp_path / name, trials=20, name=name, rng_seed=place)
        for place, name in enumerate(("one", "two"))
    ]
    both = analysis.load(paths)
    for choose in (analysis.best_at_density, analysis.smallest_within, analysis.operating_points):
        table = choose(both)
        for path, (study, own) in zip(paths, table.groupby("study"), strict=True):
            alone = choose(analysis.load(path))
            assert own["val_accuracy"].tolist() == pytest.approx(
                alone["val_accuracy"].tolist(), nan_ok=True
            )
            assert own["trial_id"].dropna().str.startswith(f"{study}/").all()
    with pytest.raises(UsageError, match="several studies"):
        analysis.knee_point(both.rounds)
    assert analysis.knee_point(both.rounds[both.rounds["study"] == "one"]) is not None


def test_what_cannot_be_chosen_by_is_refused(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=4))
    with pytest.raises(UsageError, match="Did you mean 'density'"):
        analysis.smallest_within(results, size="densty")
    with pytest.raises(UsageError, match="drops: nan"):
        analysis.smallest_within(results, (math.nan,))
    with pytest.raises(UsageError, match="confidence: 95"):
        analysis.best_at_density(results, confidence=95)
    with pytest.raises(UsageError, match="ratios: 0 is not above 0"):
        analysis.operating_points(results, (0.0,))


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


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12, unique=True)
)
def test_the_knee_is_farthest_from_the_line_between_the_ends(rows: list[tuple[int, int]]) -> None:
    points = pd.DataFrame(rows, columns=["val_accuracy", "density"]).astype("float64")
    front = analysis.pareto_front(points)
    knee = analysis.knee_point(points)
    if len(front) < 3:
        assert knee is None
        return
    ends = front.sort_values("density").iloc[[0, -1]]
    width, height = (float(np.ptp(front[name])) for name in ("density", "val_accuracy"))
    start, end = (
        np.array([row["density"] / width, row["val_accuracy"] / height])
        for _, row in ends.iterrows()
    )
    across = end - start

    def above(row: pd.Series) -> float:
        """Distance from the line, positive where it is better: the cross product."""
        x, y = row["density"] / width - start[0], row["val_accuracy"] / height - start[1]
        return float((across[0] * y - across[1] * x) / np.hypot(*across))

    distances = [above(row) for _, row in front.iterrows()]
    if knee is None:
        assert max(distances) < 1e-9
    else:
        assert above(knee) == pytest.approx(max(distances))


@example([(1, [1]), (1, [0, 0, 0])], 1)  # the mean of three densities is off by a last bit
@given(RECIPES, st.integers(0, 4))
def test_choices_over_seeds_are_those_of_a_search_through_all(
    recipes: list[tuple[int, list[int]]], tolerated: int
) -> None:
    results = _results_of(recipes)
    drop = tolerated / 10
    for sure in (False, True):
        fitting = []
        for density, drops in recipes:
            mean = statistics.fmean(drops) / 10
            high = math.inf
            if len(drops) > 1:
                spread = statistics.stdev(drops) / 10 / math.sqrt(len(drops))
                high = mean + stats.t.ppf(0.975, len(drops) - 1) * spread
            if (high if sure else mean) <= drop + 1e-9:
                fitting.append((density / 10, mean))
        row = analysis.smallest_within(results, (drop,), sure=sure).iloc[0]
        if not fitting:
            assert row["n"] == 0
        else:
            assert (row["density"], row["accuracy_drop"]) == pytest.approx(min(fitting))


def _results_of(recipes: list[tuple[int, list[int]]]) -> analysis.Results:
    """A density and the drops over seeds of each recipe; dense networks reach 0.9."""
    trials, rounds = [], []
    for recipe, (density, drops) in enumerate(recipes):
        for seed, drop in enumerate(drops):
            name = f"{recipe}-{seed}"
            plan = dict.fromkeys(PLAN_COLUMNS)
            trials.append(
                {
                    **plan,
                    "study": "s",
                    "trial_id": name,
                    "sparsity": recipe,
                    "seed": seed,
                    "replicate_of": None,
                }
            )
            known = dict.fromkeys([*MEASURES, "val_loss"], 1.0)
            row = {**known, "study": "s", "trial_id": name, "seed": seed}
            rounds.append({**row, "round": 0, "density": 1.0, "val_accuracy": 0.9})
            pruned = {"density": density / 10, "val_accuracy": 0.9 - drop / 10}
            rounds.append({**row, "round": 1, **pruned})
    frames = pd.DataFrame(trials), pd.DataFrame(rounds)
    return analysis.Results("s", *frames, pd.DataFrame(), {}, {}, {}, ())
