from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from analysis.fronts.hypervolumes import _volume_history
from analysis.fronts.staircase import area_history
from study.errors import UsageError
from tests.analysis.study_folders import new_study, searched_study


def _volume(costs: list[tuple[int, ...]], corner: tuple[int, ...]) -> int:
    """Unit cells below the corner of which some point is a lower corner: counted one by one."""
    cells = product(*(range(-1, edge) for edge in corner))
    return sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in costs)
        for cell in cells
    )


@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 6)), max_size=25))
def test_area_grows_as_counted_cells_do(costs: list[tuple[int, int]]) -> None:
    corner = (5, 5)
    grown, areas = area_history(
        np.array(costs, dtype=float).reshape(-1, 2), np.array(corner, dtype=float)
    )
    expected = [_volume(costs[: n + 1], corner) for n in range(len(costs))]
    steps = [n for n in range(len(costs)) if expected[n] > (expected[n - 1] if n else 0)]
    assert grown.tolist() == steps
    assert areas.tolist() == [expected[n] for n in steps]


@given(st.lists(st.tuples(*[st.integers(-1, 4)] * 3), max_size=12))
def test_volume_in_three_objectives_grows_as_counted_cells_do(
    costs: list[tuple[int, int, int]],
) -> None:
    corner = (3, 3, 3)
    grown, volumes = _volume_history(
        np.array(costs, dtype=float).reshape(-1, 3), np.array(corner, dtype=float)
    )
    expected = [_volume(costs[: n + 1], corner) for n in range(len(costs))]
    # A point on the front that adds no volume may be told of; the curve is the same.
    for place, volume in zip(grown, volumes, strict=True):
        assert volume == pytest.approx(expected[place])
    final = volumes[-1] if len(volumes) else 0.0
    assert final == pytest.approx(expected[-1] if expected else 0.0)


def test_area_of_many_points_is_that_of_their_front() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        {"val_accuracy": rng.beta(5, 2, 20_000), "density": rng.beta(2, 5, 20_000)}
    )
    costs = np.column_stack([-points["val_accuracy"], points["density"]])
    grown, areas = area_history(costs, np.array([0.0, 1.0]))
    assert areas[-1] == pytest.approx(analysis.hypervolume(points))
    assert (np.diff(areas) > 0).all()
    assert (np.diff(grown) > 0).all()
    half = points.head(grown[-1])
    assert areas[-2] == pytest.approx(analysis.hypervolume(half))


def test_points_without_a_value_or_beyond_the_reference_add_nothing() -> None:
    points = pd.DataFrame({"val_accuracy": [math.nan, 0.5, -1.0], "density": [0.1, 1.0, 0.2]})
    assert analysis.hypervolume(points) == 0.0
    assert analysis.hypervolume(points.head(0)) == 0.0


def test_a_reference_is_the_bound_of_a_column_or_the_worst_value_seen() -> None:
    points = pd.DataFrame(
        {"val_accuracy": [0.5, 0.9], "val_loss": [2.0, math.nan], "compression_ratio": [1.0, 9.0]}
    )
    objectives = {"val_accuracy": "max", "val_loss": "min", "compression_ratio": "max"}
    assert analysis.reference_point(points, objectives) == {  # type: ignore[arg-type]
        "val_accuracy": 0.0,
        "val_loss": 2.0,
        "compression_ratio": 1.0,
    }
    with pytest.raises(UsageError, match="no value for density"):
        analysis.hypervolume(points.assign(density=0.5), {"density": "min"}, {"other": 1.0})


def test_history_ends_at_the_hypervolume_and_the_whole_cost(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=30, seeds=(0, 1)))
    history = analysis.hypervolume_history(results)
    last = history.iloc[-1]
    summary = analysis.cost_summary(results)
    assert last["hypervolume"] == pytest.approx(analysis.hypervolume(results.rounds))
    assert last["networks"] == summary["networks"]
    assert last["train_epochs"] == pytest.approx(summary["spent_train_epochs"])
    assert history.attrs["reference"] == {"val_accuracy": 0.0, "density": 1.0}
    assert history["hypervolume"].is_monotonic_increasing
    assert history["elapsed_s"].is_monotonic_increasing


def test_history_follows_the_clock_and_not_the_names_of_trials(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("b", sparsity=0.9, rounds=1, accuracy=0.8)
    study.trial("a", sparsity=0.5, rounds=1, accuracy=0.9)
    history = analysis.hypervolume_history(analysis.load(tmp_path))
    assert history["trial_id"].tolist() == ["b", "a"]
    density = {"a": 0.5, "b": 0.1}
    assert history["hypervolume"].tolist() == pytest.approx(
        [
            0.8 * (1 - density["b"]),
            0.8 * (1 - density["b"]) + 0.1 * (1 - density["a"]),
        ]
    )


def test_every_study_has_a_history_of_its_own_from_one_reference(tmp_path: Path) -> None:
    paths = [
        searched_study(tmp_path / name, trials=8, name=name, rng_seed=place)
        for place, name in enumerate(("one", "two"))
    ]
    both = analysis.load(paths)
    history = analysis.hypervolume_history(both)
    for path, (_, part) in zip(paths, history.groupby("study", sort=False), strict=True):
        alone = analysis.hypervolume_history(analysis.load(path))
        assert part["hypervolume"].tolist() == alone["hypervolume"].tolist()
        assert part["elapsed_s"].tolist() == alone["elapsed_s"].tolist()
