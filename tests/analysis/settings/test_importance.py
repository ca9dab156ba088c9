from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import analysis
from study.errors import UsageError
from tests.analysis.study_folders import new_study


@pytest.fixture(scope="module")
def designed(tmp_path_factory: pytest.TempPathFactory) -> analysis.Results:
    """Accuracy depends on the sparsity much, on the retraining a little, and on nothing else."""
    path = tmp_path_factory.mktemp("designed")
    study = new_study(path)
    rng = np.random.default_rng(0)
    for number in range(80):
        sparsity = float(rng.uniform(0.5, 0.95))
        retrain = ("finetune", "lr_rewind")[number % 2]
        study.trial(
            f"{number:04d}",
            rounds=1,
            sparsity=sparsity,
            retrain=retrain,
            retrain_epochs=float(rng.integers(1, 9)),
            accuracy=0.95 - 0.2 * sparsity + 0.03 * (number % 2) + rng.normal(0, 0.002),
        )
    return analysis.load(path)


@pytest.mark.parametrize("method", ["permutation", "fanova"])
def test_what_decides_comes_first_and_what_does_not_comes_last(
    designed: analysis.Results, method: str
) -> None:
    table = analysis.importances(designed, method=method, resamples=8)  # type: ignore[arg-type]
    assert table["parameter"].tolist() == ["sparsity", "retrain", "retrain_epochs"]
    assert table["importance"].iloc[0] > 3 * table["importance"].iloc[2]
    assert (table["n"] == 80).all()
    assert ((table["low"] <= table["high"]) | table["low"].isna()).all()


def test_among_the_best_trials_the_same_decides(designed: analysis.Results) -> None:
    table = analysis.importances(designed, method="ped_anova", resamples=4)
    assert table["parameter"].iloc[-1] == "retrain_epochs"
    assert table["importance"].sum() == pytest.approx(1.0)


def test_a_surrogate_says_how_much_it_explains(designed: analysis.Results) -> None:
    good = analysis.importances(designed, resamples=4)["r2"].iloc[0]
    assert 0.8 < good <= 1.0
    rng = np.random.default_rng(1)
    noise = analysis.Results(**{
        **{name: getattr(designed, name) for name in (
            "name", "rounds", "events", "config", "provenance", "problems", "folders")},
        "trials": designed.trials.assign(val_accuracy=rng.normal(size=80)),
    })  # fmt: skip
    assert analysis.importances(noise, resamples=4)["r2"].iloc[0] < 0.2
    ax = analysis.plot_importance(noise, resamples=4)
    assert "not to be trusted" in ax.get_xlabel()


def test_the_same_seed_gives_the_same_figures(designed: analysis.Results) -> None:
    first, second = (analysis.importances(designed, resamples=4) for _ in range(2))
    assert first.equals(second)


def test_wrong_names_are_refused(designed: analysis.Results) -> None:
    with pytest.raises(UsageError, match="method"):
        analysis.importances(designed, method="shap")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'val_accuracy'"):
        analysis.importances(designed, "val_acuracy")
    with pytest.raises(UsageError, match="no number"):
        analysis.importances(designed, "status")


def test_plan_parameters_are_those_that_vary(designed: analysis.Results) -> None:
    assert list(analysis.plan_parameters(designed)) == ["sparsity", "retrain", "retrain_epochs"]


def test_the_fragile_layer_has_the_steepest_dependence(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(60):
        levels = {layer: float(rng.uniform(0.1, 0.98)) for layer in study.layers}
        study.trial(f"{number:04d}", rounds=1, sparsity=levels, noise=0.001)
    table = analysis.partial_dependence(analysis.load(tmp_path))
    spans = table.drop_duplicates("layer").set_index("layer")["span"]
    assert spans.idxmax() == "head"
    assert table["r2"].iloc[0] > 0.5
    head = table[table["layer"] == "head"].sort_values("density")
    assert head["mean"].iloc[-1] > head["mean"].iloc[0]
    assert (head["low"] <= head["mean"]).all()
    assert (head["mean"] <= head["high"]).all()
