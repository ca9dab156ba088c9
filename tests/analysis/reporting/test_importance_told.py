"""What the report says of settings: nothing, that something matters, or what does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import analysis
from analysis.reporting.sections.importance import importance, what_matters
from analysis.settings.importance import _permutation
from tests.analysis.study_folders import new_study

SETTINGS = ["sparsity", "rounds", "retrain_epochs", "rewind_epoch"]


def _table(r2: float, *lows: float) -> pd.DataFrame:
    return pd.DataFrame({"parameter": SETTINGS[: len(lows)], "low": lows, "r2": r2})


def test_below_a_fifth_of_the_variance_none_is_named() -> None:
    for r2 in (-0.4, 0.0, 0.19, float("nan")):
        said = what_matters(_table(r2, 0.3, 0.1))
        assert "knows too little to name any" in said
        assert not any(name in said for name in SETTINGS)


def test_where_they_explain_something_together_it_is_not_known_which() -> None:
    said = what_matters(_table(0.52, -0.01, 0.0, -0.1))
    assert said.startswith("it is not known which setting matters: together they explain 52 %")
    assert "no single one stands out" in said
    assert not any(name in said for name in SETTINGS)


def test_sure_ones_are_named_in_their_order() -> None:
    said = what_matters(_table(0.8, 0.3, -0.1, 0.1, 0.05))
    assert said.startswith("sparsity matters most of those that stand out from chance; ")
    assert "retrain_epochs and rewind_epoch stand out too" in said
    assert "explains 80 %" in said
    alone = what_matters(_table(0.3, 0.2, -0.1))
    assert "stands out too" not in alone
    assert "(rough)" in alone


def test_a_real_effect_is_never_told_as_none() -> None:
    """Studies in which four settings matter a little each: what is said contradicts nothing."""
    rng = np.random.default_rng(0)
    unknown = named = 0
    for number in range(12):
        settings = pd.DataFrame(rng.uniform(0, 1, (30, 4)), columns=SETTINGS)
        signal = settings.to_numpy() @ [1.0, 0.9, 0.9, 0.8]
        target = signal + rng.normal(0, 0.3, 30)
        table = _permutation(settings, target, 8, number)
        table = table.sort_values("importance", ascending=False, ignore_index=True)
        said, r2 = what_matters(table), table["r2"].iloc[0]
        sure = table.loc[table["low"] > 0, "parameter"]
        assert "no setting" not in said
        assert any(name in said for name in SETTINGS) == (r2 >= 0.2 and len(sure) > 0)
        if r2 < 0.2:
            assert "no sign that none matters" in said
        elif sure.empty:
            assert "it is not known which" in said
            unknown += 1
        else:
            named += 1
            assert said.startswith(sure.iloc[0])
    assert unknown > 0
    assert named > 0


def test_what_settings_fix_is_not_analysed(tmp_path: Path) -> None:
    study = new_study(tmp_path, objectives='accuracy = "max"\ndensity = "min"\nmacs = "min"')
    rng = np.random.default_rng(0)
    for number in range(30):
        sparsity = float(rng.uniform(0.5, 0.95))
        study.trial(f"{number}", rounds=1, sparsity=sparsity, accuracy=0.95 - 0.2 * sparsity)
    results = analysis.load(tmp_path)
    assert set(results.objectives) == {"val_accuracy", "density", "macs"}
    findings = [figure.finding for figure in importance(results).figures]
    assert len(findings) == 1
    assert findings[0].startswith("For validation accuracy, sparsity matters most")
