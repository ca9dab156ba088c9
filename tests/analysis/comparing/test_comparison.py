from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import analysis
from study.errors import UsageError
from tests.analysis.study_folders import new_study, searched_study


def _grid(path: Path, seeds: int, gain: float = 0.01, spread: float = 0.02) -> dict[str, list]:  # type: ignore[type-arg]
    """Two ways of retraining on each seed; seeds differ more than the ways do."""
    study = new_study(path)
    rng = np.random.default_rng(3)
    values: dict[str, list[float]] = {"finetune": [], "lr_rewind": []}
    for seed in range(seeds):
        luck = rng.normal(0, spread)
        for mode, base in (("finetune", 0.9), ("lr_rewind", 0.9 + gain)):
            accuracy = base + luck + rng.normal(0, 0.002)
            values[mode].append(accuracy)
            study.trial(
                f"{mode}{seed}", rounds=1, sparsity=0.9, retrain=mode, seed=seed, accuracy=accuracy
            )
    return values


def test_differences_are_those_of_the_paired_t_test(tmp_path: Path) -> None:
    values = _grid(tmp_path, seeds=8)
    table = analysis.compare(analysis.load(tmp_path), "retrain", densities=[0.2])
    assert len(table) == 1
    row = table.iloc[0]
    test = stats.ttest_rel(values["finetune"], values["lr_rewind"])
    interval = test.confidence_interval(0.95)
    assert (row["a"], row["b"], row["n"]) == ("finetune", "lr_rewind", 8)
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    # Pairing takes the luck of the seeds out: unpaired, the same data show nothing.
    assert row["high"] < 0
    assert stats.ttest_ind(values["finetune"], values["lr_rewind"]).pvalue > 0.05


@pytest.mark.parametrize(("seeds", "tested"), [(1, False), (2, False), (5, False), (6, True)])
def test_no_p_value_under_six_seeds(tmp_path: Path, seeds: int, tested: bool) -> None:
    _grid(tmp_path, seeds)
    row = analysis.compare(analysis.load(tmp_path), densities=[0.2]).iloc[0]
    assert math.isfinite(row["p_value"]) == tested
    assert math.isfinite(row["low"]) == (seeds > 1)
    assert row["n"] == seeds


def test_effect_size_is_the_paired_one_with_small_sample_correction(tmp_path: Path) -> None:
    values = _grid(tmp_path, seeds=4)
    row = analysis.compare(analysis.load(tmp_path), densities=[0.2]).iloc[0]
    differences = np.subtract(values["finetune"], values["lr_rewind"])
    d = differences.mean() / differences.std(ddof=1)
    assert row["effect_size"] == pytest.approx(d * (1 - 3 / (4 * 3 - 1)))


def test_a_baseline_is_compared_with_each_other_group_once(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=40, seeds=(0, 1)))
    table = analysis.compare(results, "retrain", baseline="finetune", densities=[0.5])
    assert set(table["a"]) == {"lr_rewind", "weight_rewind", "reinit"}
    assert set(table["b"]) == {"finetune"}
    with pytest.raises(UsageError, match="baseline"):
        analysis.compare(results, "retrain", baseline="fine-tune")


def test_at_an_equal_budget_only_what_fits_it_counts(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("cheap", rounds=1, sparsity=0.8, retrain_epochs=2.0, accuracy=0.90)
    study.trial("dear", rounds=1, sparsity=0.8, retrain_epochs=20.0, accuracy=0.95)
    results = analysis.load(tmp_path)
    table = analysis.scores(results, "saliency", densities=[0.2], budgets=[13, 14, 40])
    assert dict(zip(table["budget"], table["val_accuracy"], strict=True)) == {14: 0.90, 40: 0.95}
    assert table["networks"].tolist() == [1, 2]


def test_studies_are_compared_like_any_group(tmp_path: Path) -> None:
    paths = [
        searched_study(tmp_path / name, trials=24, seeds=(0, 1, 2), name=name, rng_seed=place)
        for place, name in enumerate(("one", "two"))
    ]
    table = analysis.compare(analysis.load(paths), "study", densities=[0.5])
    assert table[["a", "b", "n"]].to_numpy().tolist() == [["one", "two", 3]]


def _studies(tmp_path: Path, **models: str) -> list[str]:
    """Studies of one round; in the second all seeds are luckier. ``models`` may name others."""
    rng = np.random.default_rng(11)
    paths = []
    for place, name in enumerate(("one", "two")):
        study = new_study(tmp_path / name, name=name, model=models.get(name, "lenet300"))
        for seed in range(3):
            for mode in ("finetune", "lr_rewind"):
                accuracy = 0.7 + 0.1 * place + (mode == "finetune") * 0.01 + rng.normal(0, 0.001)
                study.trial(
                    f"{mode}{seed}", rounds=1, sparsity=0.9, retrain=mode, seed=seed,
                    accuracy=accuracy,
                )  # fmt: skip
        paths.append(study.path)
    return paths


def test_a_seed_of_one_study_is_not_paired_with_that_of_another(tmp_path: Path) -> None:
    results = analysis.load(_studies(tmp_path))
    row = analysis.compare(results, "retrain", densities=[0.2]).iloc[0]
    rounds = results.rounds[results.rounds["round"] == 1]
    modes = rounds["trial_id"].str.contains("finetune")
    differences = [
        rounds.loc[modes & (rounds["study"] == name) & (rounds["seed"] == seed), "val_accuracy"]
        .sub(
            rounds.loc[
                ~modes & (rounds["study"] == name) & (rounds["seed"] == seed), "val_accuracy"
            ].item()
        )
        .item()
        for name in ("one", "two")
        for seed in range(3)
    ]
    assert row["n"] == 6
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert row["p_value"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    networks = analysis.scores(results, "retrain", densities=[0.2])["networks"]
    assert (networks == 1).all()


def test_studies_of_different_tasks_are_compared_within_and_not_with_each_other(
    tmp_path: Path,
) -> None:
    results = analysis.load(_studies(tmp_path, two="lenet5"))
    with pytest.raises(UsageError, match="one prunes lenet300 on mnist5k; two prunes lenet5 on"):
        analysis.compare(results, "study")
    with pytest.raises(UsageError, match="a mean over studies needs studies of one task"):
        analysis.plot_comparison(results)
    assert analysis.compare(results, "retrain", densities=[0.2])["n"].tolist() == [6]


def test_a_loss_is_the_better_the_smaller_it_is(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("good", rounds=1, sparsity=0.9, accuracy=0.9)
    study.trial("bad", rounds=1, sparsity=0.9, accuracy=0.5)
    table = analysis.scores(analysis.load(tmp_path), densities=[0.2], value="val_loss")
    assert table["val_loss"].tolist() == pytest.approx([1.5 * (1 - 0.9)])
    ax = analysis.plot_comparison(analysis.load(tmp_path), value="val_loss")
    assert "less is better" in ax.get_ylabel()


def test_a_line_is_broken_where_other_seeds_reach_the_density(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for seed, rounds in ((0, 3), (1, 1), (2, 1)):
        # Densities 0.4, 0.16, 0.064: only one seed goes on to the sparse ones.
        study.trial(f"{seed}", rounds=3, finished=rounds, sparsity=0.936, seed=seed)
    densities = [0.2, 0.5, 0.1]
    results = analysis.load(tmp_path)
    table = analysis.comparison_data(results, densities=densities)
    assert table[["density", "n", "line"]].to_numpy().tolist() == [
        [0.5, 3, 1],
        [0.2, 1, 2],
        [0.1, 1, 2],
    ]
    ax = analysis.plot_comparison(results, densities=densities)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["finetune (1 to 3 seeds)"]
    assert [text.get_text() for text in ax.texts if "n=" in text.get_text()] == [
        "n=3",
        "n=1",
        "n=1",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "confidence: 95 is not between 0 and 1"),
        ({"value": "mask_hash"}, "'mask_hash' holds no numbers"),
        ({"value": "val_acuracy"}, "Did you mean 'val_accuracy'"),
        ({"densities": 0.5}, "densities: 0.5 is not a list"),
        ({"densities": []}, "densities: the list is empty"),
        ({"densities": [math.nan]}, "densities: nan"),
        ({"budgets": [0]}, "budgets: 0 is not above 0"),
        ({"confidence": "high"}, "confidence: 'high' is not between"),
        ({"by": ["retrain"]}, "by: unknown name"),
        ({"value": 3}, "value: unknown name"),
        ({"baseline": 3}, "baseline: unknown name"),
    ],
)
def test_impossible_wishes_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    _grid(tmp_path, 2)
    with pytest.raises(UsageError, match=message):
        analysis.compare(analysis.load(tmp_path), **options)


def test_a_setting_with_many_values_is_compared_by_quarters(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    epochs = [1.0, 2.0, 2.5, 3.0, 4.0, 4.5, 5.0, 6.0, 6.5, 7.0, 7.5, 8.0]
    for number, each in enumerate(epochs):
        study.trial(f"{number}", rounds=1, sparsity=0.9, retrain_epochs=each, accuracy=each / 10)
    table = analysis.scores(analysis.load(tmp_path), "retrain_epochs", densities=[0.2])
    assert table["networks"].tolist() == [3, 3, 3, 3]
    # Each quarter's best has the largest of its values, and names hold their ends.
    assert sorted(table["val_accuracy"]) == pytest.approx([0.25, 0.45, 0.65, 0.8])
    assert table["group"].str.contains(" to ").all()


def test_levels_that_are_given_twice_count_once(tmp_path: Path) -> None:
    _grid(tmp_path, 3)
    results = analysis.load(tmp_path)
    assert analysis.comparison_data(results, densities=[0.2, 0.2])["n"].tolist() == [3, 3]


def test_more_groups_than_can_be_told_apart_are_not_drawn(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for number in range(20):
        study.trial(f"{number}", rounds=1, sparsity=0.9)
    results = analysis.load(tmp_path)
    with pytest.raises(UsageError, match="'trial_id' makes 20 groups; up to 14"):
        analysis.plot_comparison(results, "trial_id")
    assert len(analysis.compare(results, "trial_id", densities=[0.2])) == 190


def test_scores_never_choose_on_test_data(tmp_path: Path) -> None:
    _grid(tmp_path, 1)
    with pytest.raises(UsageError, match="test data"):
        analysis.scores(analysis.load(tmp_path), value="test_accuracy")
    with pytest.raises(UsageError, match="Did you mean 'schedule'"):
        analysis.scores(analysis.load(tmp_path), "schedul")


def test_the_figure_draws_the_means_of_the_table(tmp_path: Path) -> None:
    _grid(tmp_path, seeds=3)
    results = analysis.load(tmp_path)
    ax = analysis.plot_comparison(results, densities=[0.5, 0.2])
    table = analysis.comparison_data(results, densities=[0.5, 0.2])
    drawn = {round(y, 12) for line in ax.get_lines() for y in np.atleast_1d(line.get_ydata())}
    assert {round(mean, 12) for mean in table["mean"]} <= drawn
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "finetune (3 seeds)",
        "lr_rewind (3 seeds)",
    ]
