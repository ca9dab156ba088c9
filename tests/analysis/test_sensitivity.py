from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from analysis.sensitivity import first_crossing
from study.records import SensitivityRecord
from tests.analysis.study_folders import FRAGILITY, new_study


@given(
    st.lists(st.floats(-0.05, 0.5), min_size=1, max_size=8),
    st.floats(0.0, 0.3),
)
def test_a_threshold_is_the_first_place_where_the_curve_is_over_the_drop(
    drops: list[float], tolerated: float
) -> None:
    levels = np.linspace(0, 0.95, len(drops) + 1)[1:]
    found, censored = first_crossing(levels, np.array(drops), tolerated)
    # Walk along the curve in small steps.
    grid = np.linspace(0, levels[-1], 20_001)
    curve = np.interp(grid, [0, *levels], [0, *drops])
    over = np.flatnonzero(curve > tolerated)
    assert censored == (max(drops) <= tolerated)
    if len(over):
        assert found <= grid[over[0]] + 1e-12
        assert np.interp(found, [0, *levels], [0, *drops]) <= tolerated + 1e-9
    if not len(over) and censored:
        assert found == levels[-1]


def test_layers_are_ranked_by_what_they_can_take(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.sensitivity(seeds=3)
    table = analysis.sensitivity_thresholds(analysis.load(tmp_path), drop=0.02)
    assert table["layer"].tolist() == sorted(FRAGILITY, key=FRAGILITY.__getitem__)
    assert (table["n"] == 3).all()
    assert ((table["low"] <= table["sparsity"]) & (table["sparsity"] <= table["high"])).all()
    assert not table["censored"].any()


def test_a_layer_that_never_passes_the_drop_is_marked_so(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.sensitivity(seeds=1)
    table = analysis.sensitivity_thresholds(analysis.load(tmp_path), drop=0.9)
    assert table["censored"].all()
    assert (table["sparsity"] == 0.99).all()


def test_curves_are_means_over_seeds_in_the_order_of_the_scan(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.sensitivity(seeds=3)
    results = analysis.load(tmp_path)
    assert set(SensitivityRecord.model_fields) - {"schema_version"} <= set(results.sensitivity)
    table = analysis.sensitivity_data(results)
    assert table["layer"].drop_duplicates().tolist() == ["fc1", "fc2", "head"]
    scan = results.sensitivity
    for row in table.itertuples():
        drops = scan.loc[
            (scan["layer"] == row.layer) & (scan["sparsity"] == row.sparsity), "accuracy_drop"
        ]
        assert row.mean == pytest.approx(drops.mean())
        assert row.n == 3


def test_the_figure_draws_each_layers_means(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.sensitivity(seeds=2)
    results = analysis.load(tmp_path)
    ax = analysis.plot_sensitivity(results)
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    for layer, curve in analysis.sensitivity_data(results).groupby("layer"):
        assert np.asarray(lines[layer]) == pytest.approx(curve["mean"].to_numpy())
    assert "2 seeds" in ax.get_title(loc="left")
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == len(ax.get_lines())


def test_a_study_without_a_scan_says_how_to_get_one(tmp_path: Path) -> None:
    new_study(tmp_path)
    ax = analysis.plot_sensitivity(analysis.load(tmp_path))
    assert "prune-study sensitivity" in ax.texts[0].get_text()


def test_a_damaged_scan_is_told_of(tmp_path: Path) -> None:
    new_study(tmp_path)
    (tmp_path / "sensitivity.parquet").write_bytes(b"nonsense")
    results = analysis.load(tmp_path)
    assert results.sensitivity.empty
    assert "sensitivity.parquet" in results.problems
