"""Studies that measured latency, studies that did not, and those older than the columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.tables import render_table, select_table
from study.records import RoundRecord
from tests.analysis.study_folders import new_study

COLUMNS = ("latency_ms", "latency_spread_ms", "dense_latency_ms", "speedup_measured")


def _rewritten(path: Path, change: dict[str, float] | None) -> None:
    """Give each round these figures; None: leave the fields out, as older versions did."""
    for file in path.glob("trials/*/rounds.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            for column in COLUMNS:
                del row[column]
            row.update(change or {})
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _study(path: Path, change: dict[str, float | None] | None) -> Path:
    study = new_study(path)
    study.trial("a", rounds=2)
    _rewritten(path, change)
    return path


MEASURED = dict(zip(COLUMNS, (2.0, 0.25, 5.0, 2.5), strict=True))


def test_a_record_without_the_fields_has_nan_in_them() -> None:
    fields = RoundRecord.model_fields
    assert all(fields[column].description for column in COLUMNS)
    assert all(np.isnan(fields[column].default) for column in COLUMNS)


def test_what_was_measured_is_read_as_it_was_written(tmp_path: Path) -> None:
    results = analysis.load(_study(tmp_path / "new", MEASURED))
    for column, value in MEASURED.items():
        assert results.rounds[column].tolist() == [value] * 3
        assert results.rounds[column].dtype == "float64"
    assert results.trials[["latency_ms", "speedup_measured"]].to_numpy().tolist() == [[2.0, 2.5]]


@pytest.mark.parametrize("change", [None, dict.fromkeys(COLUMNS)], ids=["older", "not measured"])
def test_what_was_not_measured_is_nan(tmp_path: Path, change: dict[str, float] | None) -> None:
    results = analysis.load(_study(tmp_path / "old", change))
    assert not results.problems
    for column in COLUMNS:
        assert results.rounds[column].dtype == "float64"
        assert results.rounds[column].isna().all()
    assert results.trials["latency_ms"].dtype == "float64"
    assert results.trials["latency_ms"].isna().all()


def test_a_cache_from_before_the_columns_is_not_taken(tmp_path: Path) -> None:
    path = _study(tmp_path / "old", MEASURED)
    cached = path / "analysis_cache" / "rounds.parquet"
    analysis.load(path, cache=True)
    import pyarrow.parquet as pq

    table = pq.read_table(cached)
    pq.write_table(table.drop_columns(list(COLUMNS)), cached)
    assert analysis.load(path, cache=True).rounds["latency_ms"].tolist() == [2.0] * 3


def test_old_and_new_studies_stand_in_one_frame_and_one_table(tmp_path: Path) -> None:
    paths = [_study(tmp_path / "old", None), _study(tmp_path / "new", MEASURED)]
    results = analysis.load(paths)
    by_study = results.rounds.groupby("study")["latency_ms"].agg(["count", "mean"])
    assert by_study.loc["new"].tolist() == [3, 2.0]
    assert by_study.loc["old", "count"] == 0
    rows = json.loads(render_table(select_table(results, "rounds"), "json"))
    assert [row["speedup_measured"] for row in rows] == [None] * 3 + [2.5] * 3


def test_a_table_for_people_leaves_out_what_nobody_measured(tmp_path: Path) -> None:
    shown = {
        name: render_table(analysis.load(_study(tmp_path / name, change)).rounds, "table").decode()
        for name, change in (("old", None), ("new", MEASURED))
    }
    assert "latency_ms" not in shown["old"]
    assert "latency_ms" in shown["new"]


def test_a_measured_speedup_is_better_where_it_is_larger_and_a_latency_where_it_is_smaller(
    tmp_path: Path,
) -> None:
    results = analysis.load(_study(tmp_path / "new", MEASURED))
    assert results.direction_of("speedup_measured") == "max"
    assert results.direction_of("latency_ms") == "min"
    assert pd.isna(analysis.load(_study(tmp_path / "old", None)).rounds["speedup_measured"]).all()
