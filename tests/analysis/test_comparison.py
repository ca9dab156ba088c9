from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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


def test_scores_never_choose_on_test_data(tmp_path: Path) -> None:
    _grid(tmp_path, 1)
    with pytest.raises(UsageError, match="test data"):
        analysis.scores(analysis.load(tmp_path), value="test_accuracy")
    with pytest.raises(UsageError, match="Did you mean 'schedule'"):
        analysis.scores(analysis.load(tmp_path), "schedul")


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12))
def test_holm_steps_down_as_the_procedure_says(values: list[float]) -> None:
    adjusted = analysis.holm(np.array(values))
    tested = [value for value in values if not math.isnan(value)]
    for alpha in (0.01, 0.05, 0.2):
        # The procedure: reject from the smallest on, until one is too large.
        rejected = 0
        for step, value in enumerate(sorted(tested)):
            if value * (len(tested) - step) > alpha:
                break
            rejected += 1
        assert int((adjusted <= alpha).sum()) == rejected
    assert np.isnan(adjusted).tolist() == [math.isnan(value) for value in values]


def test_under_no_difference_few_of_many_comparisons_are_called_real() -> None:
    rng = np.random.default_rng(5)
    families = 400
    wrong = 0
    for _ in range(families):
        p_values = np.array([stats.ttest_1samp(rng.normal(size=6), 0).pvalue for _ in range(6)])
        wrong += bool((analysis.holm(p_values) <= 0.05).any())
    assert wrong / families < 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)


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
