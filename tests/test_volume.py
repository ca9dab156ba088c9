from __future__ import annotations

import math
import subprocess
import sys

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.errors import UsageError
from study.objectives import Direction
from study.records import LOSS, MetricRecord
from study.volume import Axis, Volume, volume_for

ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")
ERROR = MetricRecord(name="error", direction="min", unit="share")
R2 = MetricRecord(name="r2", direction="max", unit="score")
PSNR = MetricRecord(name="psnr", direction="max", unit="amount")

BOX = Volume((Axis("val_accuracy", 0.5, 1.0, False), Axis("density", 1.0, 0.01, True)))
TWO_AND_EPOCHS = Volume(
    (
        Axis("val_loss", 3.0, 0.0, False),
        Axis("macs", 4096.0, 4.0, True),
        Axis("train_epochs", 32.0, 1.0, True),
    )
)

NETWORKS = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(1e-4, 1.0)), min_size=1, max_size=12
).map(np.array)


def test_it_is_the_hypervolume_of_points_that_were_scaled_by_hand() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        accuracy, density = rng.uniform(0.3, 1.0, 30), 10.0 ** rng.uniform(-3, 0, 30)
        by_hand = [
            ((1 - a) / 0.5, 1 + math.log(max(d, 0.01)) / -math.log(0.01))
            for a, d in zip(accuracy, density, strict=True)
        ]
        expected = moocore.hypervolume(np.array(by_hand), ref=[1.0, 1.0])
        assert BOX.of(np.column_stack([accuracy, density])) == pytest.approx(expected, abs=1e-12)


def test_it_is_the_share_of_a_fine_grid_that_is_dominated() -> None:
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(0.4, 1.0, 12), 10.0 ** rng.uniform(-2.5, 0, 12)])
    cells = 500
    centres = (np.arange(cells) + 0.5) / cells
    # Networks that are as good as the middle of each cell: accuracy evenly, density by its ratio.
    accuracy = 0.5 + 0.5 * centres
    density = 0.01**centres
    reached = [
        (accuracy[:, None] <= a) & (density[None, :] >= max(d, 0.01)) for a, d in points.tolist()
    ]
    share = np.any(reached, axis=0).mean()
    assert 0.2 < share < 0.95
    assert BOX.of(points) == pytest.approx(share, abs=2.0 / cells * 2)


def test_three_objectives_are_the_share_of_random_wishes_that_are_met() -> None:
    rng = np.random.default_rng(2)
    points = np.column_stack(
        [rng.uniform(0, 3.2, 20), 4096 / 2 ** rng.uniform(0, 11, 20), 2 ** rng.uniform(0, 5.5, 20)]
    )
    count = 40_000
    wishes = np.column_stack(
        [rng.uniform(0, 3, count), 4.0 * 1024 ** rng.uniform(0, 1, count),
         32.0 ** rng.uniform(0, 1, count)]
    )  # fmt: skip
    best = np.maximum(points, [0.0, 4.0, 1.0])
    met = (best[:, None] <= wishes[None]).all(axis=2).any(axis=0).mean()
    error = math.sqrt(met * (1 - met) / count)
    assert 0.1 < met < 0.9
    assert TWO_AND_EPOCHS.of(points) == pytest.approx(met, abs=4 * error)


@given(NETWORKS, st.tuples(st.floats(0.0, 1.0), st.floats(1e-4, 1.0)))
def test_a_further_network_takes_nothing_away_and_a_beaten_one_adds_nothing(
    networks: np.ndarray, further: tuple[float, float]
) -> None:
    volume = BOX.of(networks)
    assert 0.0 <= volume <= 1.0
    assert BOX.of(networks[::-1]) == pytest.approx(volume)
    assert BOX.of(np.vstack([networks, networks])) == pytest.approx(volume)
    assert BOX.of(np.vstack([networks, further])) >= volume - 1e-12
    beaten = networks[0] * [0.9, 1.0] + [0.0, 1e-3]
    assert BOX.of(np.vstack([networks, beaten])) == pytest.approx(volume)


@given(NETWORKS, st.floats(1e-3, 1e6))
def test_the_unit_of_a_size_does_not_count(networks: np.ndarray, unit: float) -> None:
    other = Volume((BOX.axes[0], Axis("macs", unit, 0.01 * unit, True)))
    assert other.of(networks * [1.0, unit]) == pytest.approx(BOX.of(networks), abs=1e-9)


@given(NETWORKS)
def test_each_halving_is_worth_the_same(networks: np.ndarray) -> None:
    """The volume of one network is a product: of its share in quality and that of its halvings."""
    accuracy, density = networks[0]
    expected = max(accuracy - 0.5, 0) / 0.5 * min(-math.log2(density) / math.log2(100), 1)
    assert BOX.of(networks[:1]) == pytest.approx(expected, abs=1e-12)


@given(NETWORKS, NETWORKS)
def test_what_a_network_adds_shrinks_with_what_is_there(a: np.ndarray, b: np.ndarray) -> None:
    """On this the forecast rests: coverage is submodular."""
    new = np.array([[0.8, 0.05]])
    alone = BOX.of(np.vstack([a, new])) - BOX.of(a)
    beside = BOX.of(np.vstack([a, b, new])) - BOX.of(np.vstack([a, b]))
    assert beside <= alone + 1e-12


def test_what_is_beyond_the_ideal_counts_as_the_ideal_and_nan_for_nothing() -> None:
    assert BOX.of(np.array([[0.75, 0.001]])) == pytest.approx(0.5)
    assert BOX.of(np.array([[0.75, 0.0]])) == pytest.approx(0.5)
    assert BOX.of(np.array([[math.nan, 0.1], [0.9, math.nan]])) == 0.0
    assert BOX.of(np.array([[0.5, 0.1], [0.9, 1.0], [0.4, 0.1]])) == 0.0
    assert BOX.of(np.empty((0, 2))) == 0.0


@pytest.mark.parametrize(
    ("metric", "dense", "reference", "ideal"),
    [
        (ACCURACY, 0.97, 0.87, 1.0),  # 10 points
        (ACCURACY, 0.985, 0.91, 1.0),  # 5 times the error
        (ACCURACY, 0.999, 0.989, 1.0),  # at least 1 point
        (ACCURACY, 1.0, 0.99, 1.0),
        (R2, -0.5, -0.6, 1.0),
        (ERROR, 0.03, 0.13, 0.0),
        (ERROR, 0.001, 0.011, 0.0),
        (LOSS, 2.0, 3.0, 0.0),
        (LOSS, -2.0, -1.0, -4.0),
        (PSNR, 30.0, 15.0, 60.0),
    ],
)
def test_quality_counts_from_somewhat_worse_than_dense(
    metric: MetricRecord, dense: float, reference: float, ideal: float
) -> None:
    volume = volume_for({metric.column: metric.direction}, [metric], {metric.column: dense})
    assert volume.reference == pytest.approx({metric.column: reference})
    assert volume.ideal == pytest.approx({metric.column: ideal})
    assert volume.of(np.array([[ideal]])) == 1.0
    assert volume.of(np.array([[dense]])) == pytest.approx(
        abs(dense - reference) / abs(ideal - reference)
    )


def test_sizes_count_from_the_dense_network_to_the_floor_of_the_space() -> None:
    objectives: dict[str, Direction] = {
        "val_accuracy": "max", "val_loss": "min", "density": "min", "macs": "min",
        "nonzero_parameters": "min", "train_epochs": "min",
    }  # fmt: skip
    dense = {
        "val_accuracy": 0.9, "val_loss": 0.4, "macs": 1e6, "nonzero_parameters": 5000.0,
        "train_epochs": 20.0,
    }  # fmt: skip
    volume = volume_for(objectives, [ACCURACY, LOSS], dense, 0.02)
    ends = {axis.column: (axis.reference, axis.ideal) for axis in volume.axes if axis.is_size}
    assert ends == {
        "density": (1.0, 0.02),
        "macs": (1e6, 2e4),
        "nonzero_parameters": (5000.0, 100.0),
        "train_epochs": (640.0, 20.0),
    }
    assert volume.columns == tuple(objectives)


def test_what_spans_no_box_is_refused() -> None:
    with pytest.raises(UsageError, match=r"floor_density: 1\.0 is not between 0 and 1"):
        volume_for({"density": "min"}, [], {}, 1.0)
    with pytest.raises(UsageError, match="val_accuracy: the dense network has no finite value"):
        volume_for({"val_accuracy": "max"}, [ACCURACY], {"val_accuracy": math.nan})
    with pytest.raises(UsageError, match="wall_s is neither a size nor a metric"):
        volume_for({"wall_s": "min"}, [ACCURACY], {"wall_s": 3.0})
    with pytest.raises(UsageError, match=r"density: from 1.0 to 0.0 is no axis of a size"):
        Axis("density", 1.0, 0.0, True)
    with pytest.raises(UsageError, match="two different finite numbers"):
        Axis("val_loss", 1.0, 1.0, False)
    with pytest.raises(UsageError, match=r"reference: density is 0\.01, and nothing is better"):
        BOX.with_reference({"val_accuracy": 0.0, "density": 0.01})


def test_another_reference_widens_the_box() -> None:
    wider = BOX.with_reference({"val_accuracy": 0.0, "density": 1.0})
    assert wider.of(np.array([[0.75, 0.1]])) == pytest.approx(0.75 * 0.5)


def test_it_needs_neither_torch_nor_ray() -> None:
    code = "import sys, study.volume; print({'torch', 'ray'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
