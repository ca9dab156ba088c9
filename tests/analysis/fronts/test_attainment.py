from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from study.errors import UsageError

POINTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=16
)


def _attained_by(points: pd.DataFrame, accuracy: float, density: float) -> int:
    """How many seeds have a network at least as accurate and no denser: by the definition."""
    good = points[(points["val_accuracy"] >= accuracy) & (points["density"] <= density)]
    return int(good["seed"].nunique())


@given(POINTS, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans())
def test_a_surface_bounds_what_a_share_of_the_seeds_attain(
    rows: list[tuple[float, int, int]], share: float, one_failed: bool
) -> None:
    rows = [*rows, (math.nan, 0, 9)] if one_failed else rows
    points = pd.DataFrame(rows, columns=["val_accuracy", "density", "seed"]).astype("float64")
    runs = points["seed"].nunique()
    surface = analysis.attainment_surfaces(points, shares=[share])
    needed = max(math.ceil(share * runs), 1)
    for accuracy in range(7):
        for density in range(-1, 7):
            beyond = surface[
                (surface["val_accuracy"] >= accuracy) & (surface["density"] <= density)
            ]
            attained = _attained_by(points, accuracy, density) >= needed
            assert attained == (len(beyond) > 0)
    assert (surface["runs"] == runs).all()


def test_one_seed_has_its_own_front_as_every_surface() -> None:
    points = pd.DataFrame(
        {"val_accuracy": [0.9, 0.8, 0.7], "density": [0.5, 0.2, 0.3], "seed": [4, 4, 4]}
    )
    surfaces = analysis.attainment_surfaces(points)
    for _, surface in surfaces.groupby("share"):
        assert surface["density"].tolist() == [0.5, 0.2]


def test_no_network_gives_no_surface() -> None:
    points = pd.DataFrame({"val_accuracy": [math.nan], "density": [0.5], "seed": [0]})
    assert analysis.attainment_surfaces(points).empty


def test_a_seed_of_two_studies_is_two_runs() -> None:
    points = pd.DataFrame(
        {
            "study": ["one", "two"],
            "seed": [0, 0],
            "val_accuracy": [0.9, 0.7],
            "density": [0.5, 0.6],
        }
    )
    surfaces = analysis.attainment_surfaces(points, shares=[0.0, 1.0])
    assert surfaces["val_accuracy"].tolist() == [0.9, 0.7]
    assert surfaces["runs"].tolist() == [2, 2]


def test_what_has_no_surface_is_refused() -> None:
    points = pd.DataFrame({"val_accuracy": [0.9], "density": [0.5], "seed": [0]})
    with pytest.raises(UsageError, match="2 or 3 objectives, not 1"):
        analysis.attainment_surfaces(points, {"density": "min"})
    with pytest.raises(UsageError, match="Did you mean 'seed'"):
        analysis.attainment_surfaces(points, by="seeds")
    for share in (1.5, -0.1, math.nan):
        with pytest.raises(UsageError, match="shares"):
            analysis.attainment_surfaces(points, shares=[share])
