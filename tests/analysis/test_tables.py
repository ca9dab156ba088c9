"""Tables for programs: nothing is lost on the way."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.tables import TABLES, render_table, select_table
from study.errors import UsageError
from tests.analysis.study_folders import searched_study

FRAME = pd.DataFrame(
    {
        "name": ["a", None],
        "value": [0.1 + 0.2, math.nan],
        "tiny": [5e-324, 1.7976931348623157e308],
        "endless": [math.inf, -math.inf],
        "count": pd.array([1, None], dtype="Int64"),
        "at": pd.to_datetime(["2026-01-01T00:00:00.123Z", None]),
    }
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> analysis.Results:
    return analysis.load(searched_study(tmp_path_factory.mktemp("tables") / "s", trials=16))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("format_", ["table", "csv", "json", "parquet"])
def test_every_table_comes_in_every_format(
    results: analysis.Results, name: str, format_: str
) -> None:
    frame = select_table(results, name)
    data = render_table(frame, format_)
    if format_ == "json":
        assert len(json.loads(data, parse_constant=pytest.fail)) == len(frame)
    elif format_ == "csv":
        assert len(pd.read_csv(io.BytesIO(data))) == len(frame)
    elif format_ == "parquet":
        assert len(pd.read_parquet(io.BytesIO(data))) == len(frame)
    else:
        assert data.decode()


def test_floats_are_read_back_bit_for_bit() -> None:
    rows = json.loads(render_table(FRAME, "json"))
    assert [row["tiny"] for row in rows] == list(FRAME["tiny"])
    assert rows[0]["value"] == 0.1 + 0.2
    csv = pd.read_csv(io.BytesIO(render_table(FRAME, "csv")))
    np.testing.assert_array_equal(csv["tiny"], FRAME["tiny"])


def test_what_is_not_known_or_not_finite_is_null_in_json() -> None:
    first, second = json.loads(render_table(FRAME, "json"))
    assert second == {**dict.fromkeys(FRAME), "tiny": 1.7976931348623157e308}
    assert first["endless"] is None
    assert first["count"] == 1
    assert first["at"].startswith("2026-01-01T00:00:00.123")


def test_unknown_names_are_refused_with_the_nearest(results: analysis.Results) -> None:
    with pytest.raises(UsageError, match="Did you mean 'pareto'"):
        select_table(results, "paretto")
    with pytest.raises(UsageError, match="csv"):
        render_table(FRAME, "cvs")
