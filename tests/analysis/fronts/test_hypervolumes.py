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


def _log_costs(points: pd.DataFrame, least: float = 0.0) -> np.ndarray:
    """Accuracy from ``least`` to 1 and density from 1 to 0.01 by its ratio, scaled by hand."""
    quality = [(1.0 - value) / (1.0 - least) for value in points["val_accuracy"]]
    size = [1.0 + math.log10(max(value, 0.01)) / 2.0 for value in points["density"]]
    return np.column_stack([quality, size])


def test_area_of_many_points_is_that_of_their_front() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        {"val_accuracy": rng.beta(5, 2, 20_000), "density": rng.beta(2, 5, 20_000)}
    )
    grown, areas = area_history(_log_costs(points), np.array([1.0, 1.0]))
    assert areas[-1] == pytest.approx(analysis.hypervolume(points))
    assert (np.diff(areas) > 0).all()
    assert (np.diff(grown) > 0).all()
    half = points.head(grown[-1])
    assert areas[-2] == pytest.approx(analysis.hypervolume(half))


def test_points_without_a_value_or_beyond_the_reference_add_nothing() -> None:
    points = pd.DataFrame({"val_accuracy": [math.nan, 0.5, -1.0], "density": [0.1, 1.0, 0.2]})
    assert analysis.hypervolume(points) == 0.0
    assert analysis.hypervolume(points.head(0)) == 0.0


def test_a_reference_is_that_of_the_dense_networks_or_the_worst_value_seen() -> None:
    points = pd.DataFrame(
        {
            "val_accuracy": [0.5, 0.9],
            "val_loss": [2.0, math.nan],
            "latency_ms": [3.0, 8.0],
            "compression_ratio": [1.0, 9.0],
        }
    )
    objectives = {
        "val_accuracy": "max", "val_loss": "min", "latency_ms": "min", "compression_ratio": "max",
    }  # fmt: skip
    assert analysis.reference_point(points, objectives) == {  # type: ignore[arg-type]
        "val_accuracy": 0.0,
        "val_loss": 2.0,
        "latency_ms": 8.0,
        "compression_ratio": 1.0,
    }
    with_dense = points.assign(round=[1, 0], density=[0.5, 1.0])
    assert analysis.reference_point(with_dense)["val_accuracy"] == pytest.approx(0.8)
    with pytest.raises(UsageError, match="no value for density"):
        analysis.hypervolume(points.assign(density=0.5), {"density": "min"}, {"other": 1.0})


def test_a_given_reference_and_floor_are_honoured() -> None:
    points = pd.DataFrame({"val_accuracy": [0.75], "density": [0.05], "round": [0]})
    reference = {"val_accuracy": 0.5, "density": 1.0}
    assert analysis.hypervolume(points, reference=reference, floor=0.0025) == pytest.approx(0.25)
    assert analysis.hypervolume(points, reference=reference, floor=0.2) == pytest.approx(0.5)
    ratio = points.assign(compression_ratio=10.0)
    ways = {"val_accuracy": "max", "compression_ratio": "max"}
    volume = analysis.hypervolume(ratio, ways, {"val_accuracy": 0.5, "compression_ratio": 1})  # type: ignore[arg-type]
    assert volume == pytest.approx(0.25)
    with pytest.raises(UsageError, match="floor: 0 is not between 0 and 1"):
        analysis.hypervolume(points, floor=0)
    with pytest.raises(UsageError, match="reference: val_accuracy is 1, and nothing is better"):
        analysis.hypervolume(points, reference={"val_accuracy": 1.0, "density": 1.0})


def test_history_ends_at_the_hypervolume_and_the_whole_cost(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=30, seeds=(0, 1)))
    history = analysis.hypervolume_history(results)
    last = history.iloc[-1]
    summary = analysis.cost_summary(results)
    assert last["hypervolume"] == pytest.approx(analysis.hypervolume(results.rounds))
    assert last["networks"] == summary["networks"]
    assert last["train_epochs"] == pytest.approx(summary["spent_train_epochs"])
    dense = results.rounds[results.rounds["round"] == 0].drop_duplicates("seed")["val_accuracy"]
    margin = max(min(0.1, 5 * (1 - dense.mean())), 0.01)
    assert history.attrs["reference"] == pytest.approx(
        {"val_accuracy": dense.mean() - margin, "density": 1.0}
    )
    assert history.attrs["ideal"] == {"val_accuracy": 1.0, "density": 0.01}
    assert history["hypervolume"].is_monotonic_increasing
    assert history["elapsed_s"].is_monotonic_increasing


def test_history_follows_the_clock_and_not_the_names_of_trials(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("b", sparsity=0.9, rounds=1, accuracy=0.8)
    study.trial("a", sparsity=0.5, rounds=1, accuracy=0.9)
    reference = {"val_accuracy": 0.0, "density": 1.0}
    history = analysis.hypervolume_history(analysis.load(tmp_path), reference=reference)
    assert history["trial_id"].tolist() == ["b", "a"]
    halving = math.log10(2) / 2
    assert history["hypervolume"].tolist() == pytest.approx([0.8 * 0.5, 0.8 * 0.5 + 0.1 * halving])


def test_the_floor_is_the_smallest_density_of_the_space(tmp_path: Path) -> None:
    volumes = []
    for name, floors in (("unsaid", []), ("shallow", [0.1]), ("again", [0.1, 0.05])):
        study = new_study(tmp_path / name, name=name)
        for floor in floors:
            study.event("search_started", floor_density=floor, workers=2)
        study.trial("a", sparsity=0.98, rounds=1, accuracy=0.9)
        history = analysis.hypervolume_history(analysis.load(tmp_path / name))
        volumes.append((history.attrs["ideal"]["density"], history["hypervolume"].iloc[-1]))
    floors, found = zip(*volumes, strict=True)
    assert floors == (0.01, 0.1, 0.05)
    # Accuracy 0.9 is the dense network's, from 0.8 to 1; density 0.02 is below two of the floors.
    assert found == pytest.approx([0.5 * math.log(50) / math.log(100), 0.5, 0.5], abs=1e-3)
    both = analysis.load([tmp_path / "unsaid", tmp_path / "shallow"])
    assert analysis.hypervolume_history(both).attrs["ideal"]["density"] == 0.01
    table = analysis.hypervolume_scores(both).set_index("group")["hypervolume"]
    assert table["shallow"] == table["unsaid"]


def test_studies_of_one_comparison_have_one_reference(tmp_path: Path) -> None:
    for name, accuracy in (("one", 0.9), ("two", 0.94)):
        new_study(tmp_path / name, name=name).trial("a", rounds=1, accuracy=accuracy)
    both = analysis.load([tmp_path / "one", tmp_path / "two"])
    history = analysis.hypervolume_history(both)
    assert history.attrs["reference"]["val_accuracy"] == pytest.approx(0.82)
    volumes = history.groupby("study")["hypervolume"].last()
    assert volumes["two"] / volumes["one"] == pytest.approx(0.12 / 0.08)


def test_where_no_dense_network_is_known_the_best_one_stands_for_it(tmp_path: Path) -> None:
    new_study(tmp_path).trial("a", rounds=3, accuracy=0.9)
    results = analysis.load(tmp_path)
    results.rounds = results.rounds[results.rounds["round"] > 0].reset_index(drop=True)
    reference = analysis.hypervolume_history(results).attrs["reference"]
    assert reference["val_accuracy"] == pytest.approx(0.8)


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
