from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from analysis.layers.sensitivity import first_crossing
from study.errors import UsageError
from study.records import SensitivityRecord
from tests.analysis.study_folders import FRAGILITY, new_study, searched_study


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
    with pytest.warns(analysis.ProblemWarning, match="sensitivity"):
        assert results.sensitivity.empty
    assert "sensitivity.parquet" in results.problems


def test_an_interval_is_open_where_a_seed_never_passed_the_drop(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.sensitivity(seeds=3)
    results = analysis.load(study.path)
    table = analysis.sensitivity_thresholds(results, 0.01)
    assert not table["censored"].any()
    assert table[["low", "high"]].notna().all(axis=None)
    largest = results.sensitivity.groupby(["layer", "seed"])["accuracy_drop"].max()["fc1"]
    some = analysis.sensitivity_thresholds(results, float(np.sort(largest)[1]) + 1e-9)
    row = some.set_index("layer").loc["fc1"]
    assert row["censored"]
    assert np.isnan(row["high"])
    assert not np.isnan(row["low"])
    row = analysis.sensitivity_thresholds(results, 0.9).iloc[0]
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


@pytest.mark.parametrize("drop", [float("nan"), -0.01, float("inf")])
def test_a_drop_that_is_none_is_refused(tmp_path: Path, drop: float) -> None:
    study = new_study(tmp_path / "s")
    study.sensitivity()
    with pytest.raises(UsageError, match="drop"):
        analysis.sensitivity_thresholds(analysis.load(study.path), drop)


def test_a_layer_looks_the_same_in_every_figure(tmp_path: Path) -> None:
    path = searched_study(tmp_path / "s", trials=30)
    results = analysis.load(path)
    looks = []
    for ax in (analysis.plot_sensitivity(results), analysis.plot_partial_dependence(results)):
        drawn = {line.get_label(): line.get_color() for line in ax.get_lines()}
        looks.append({name: drawn[name] for name in ("fc1", "fc2", "head")})
    assert looks[0] == looks[1]


def test_a_scan_from_masks_is_read_beside_the_density_of_each_layer(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", sparsity=0.9, masks=True)
    records = [
        SensitivityRecord(layer=layer, sparsity=0.95, val_accuracy=0.5, val_loss=1.0,
                          accuracy_drop=0.4, seed=0, recovery_epochs=0, trial_id="0000", round=2)
        for layer in ("fc1", "fc2", "head")
    ]  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([record.model_dump() for record in records]), sink)
    data = sink.getvalue().to_pybytes()
    study.folder.write(data, "trials", "0000", "round_02_sensitivity.parquet")
    results = analysis.load(study.path)
    found = analysis.conditional_sensitivity(results, "0000")
    layers = results.layers
    own = layers[(layers["trial_id"] == "0000") & (layers["round"] == 2)].set_index("layer")
    assert list(found["layer"]) == ["fc1", "fc2", "head"]
    assert list(found["density"]) == list(own.loc[found["layer"], "density"])
    with pytest.raises(UsageError, match=r"no scan of round 1; it has scans of rounds \[2\]"):
        analysis.conditional_sensitivity(results, "0000", 1)
    with pytest.raises(UsageError, match="Did you mean '0000'"):
        analysis.conditional_sensitivity(results, "000")
