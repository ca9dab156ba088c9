from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from study.errors import UsageError

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf]))


def _dominates(a: tuple[float, ...], b: tuple[float, ...], ways: list[str]) -> bool:
    at_least = [x >= y if way == "max" else x <= y for x, y, way in zip(a, b, ways, strict=True)]
    return all(at_least) and a != b


def _front(rows: list[tuple[float, ...]], ways: list[str]) -> list[int]:
    """By the definition, pair by pair; of equal rows the first."""
    good = [n for n, row in enumerate(rows) if all(map(math.isfinite, row))]
    return [
        n
        for n in good
        if not any(_dominates(rows[m], rows[n], ways) for m in good)
        and not any(rows[m] == rows[n] for m in good if m < n)
    ]


@st.composite
def _clouds(draw: st.DrawFn) -> tuple[list[tuple[float, ...]], list[str]]:
    count = draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(*[NUMBERS] * count), max_size=14))
    return rows, draw(st.lists(st.sampled_from(["max", "min"]), min_size=count, max_size=count))


@given(_clouds())
def test_the_front_is_what_no_other_point_dominates(
    cloud: tuple[list[tuple[float, ...]], list[str]],
) -> None:
    rows, ways = cloud
    names = [f"o{n}" for n in range(len(ways))]
    points = pd.DataFrame(rows, columns=names, dtype="float64")
    objectives = dict(zip(names, ways, strict=True))
    front = analysis.pareto_front(points, objectives)
    assert sorted(front.index) == _front(rows, ways)
    tied = analysis.pareto_front(points, objectives, ties="all")
    assert set(map(tuple, tied.to_numpy())) == {rows[n] for n in _front(rows, ways)}
    assert len(tied) == sum(row in [rows[n] for n in front.index] for row in rows)


@given(_clouds())
def test_a_front_is_its_own_front_and_best_first(
    cloud: tuple[list[tuple[float, ...]], list[str]],
) -> None:
    rows, ways = cloud
    names = [f"o{n}" for n in range(len(ways))]
    points = pd.DataFrame(rows, columns=names, dtype="float64")
    objectives = dict(zip(names, ways, strict=True))
    front = analysis.pareto_front(points, objectives)
    pd.testing.assert_frame_equal(analysis.pareto_front(front, objectives), front)
    sign = 1 if ways[0] == "min" else -1
    assert (np.diff(sign * front["o0"].to_numpy()) >= 0).all()


def test_each_seed_has_a_front_of_its_own() -> None:
    points = pd.DataFrame(
        {
            "val_accuracy": [0.9, 0.8, 0.95, 0.7],
            "density": [0.5, 0.5, 0.5, 0.4],
            "seed": [0, 1, 2, 1],
        }
    )
    assert analysis.pareto_front(points).index.tolist() == [2, 3]
    assert analysis.pareto_front(points, by="seed").index.tolist() == [0, 1, 3, 2]


def test_a_constant_objective_leaves_the_best_in_the_other() -> None:
    points = pd.DataFrame({"val_accuracy": [0.9] * 3, "density": [0.5, 0.2, 0.4]})
    assert analysis.pareto_front(points).index.tolist() == [1]


def test_no_point_is_an_empty_front_with_its_columns() -> None:
    points = pd.DataFrame({"val_accuracy": [math.nan], "density": [0.5], "x": ["a"]})
    front = analysis.pareto_front(points)
    assert front.empty
    assert list(front.columns) == list(points.columns)


def test_wrong_names_are_refused_with_the_nearest_right_one() -> None:
    points = pd.DataFrame({"val_accuracy": [0.9], "density": [0.5]})
    with pytest.raises(UsageError, match="Did you mean 'density'"):
        analysis.pareto_front(points, {"densty": "min"})
    with pytest.raises(UsageError, match="ties: unknown name 'last'"):
        analysis.pareto_front(points, ties="last")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="by: unknown name"):
        analysis.pareto_front(points, by=["density"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="direction of density"):
        analysis.pareto_front(points, {"density": "less"})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="at least one"):
        analysis.pareto_front(points, {})


@pytest.mark.parametrize("way", ["max", "min"])
def test_one_objective_has_one_best_point(way: str) -> None:
    points = pd.DataFrame({"a": [2.0, 1.0, 3.0, 3.0, 1.0]})
    front = analysis.pareto_front(points, {"a": way})  # type: ignore[dict-item]
    assert front.index.tolist() == [2 if way == "max" else 1]


def test_the_pairwise_oracle_agrees_with_itself_on_a_grid() -> None:
    rows = [tuple(map(float, row)) for row in product(range(3), repeat=2)]
    assert _front(rows, ["max", "min"]) == [rows.index((2.0, 0.0))]
