import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from study.errors import UsageError
from study.pruning.selection.additive_optimum import additive_optimum
from study.records import SensitivityRecord


def record(layer: str, sparsity: float, drop: float, seed: int = 0) -> SensitivityRecord:
    return SensitivityRecord(
        layer=layer,
        sparsity=sparsity,
        val_accuracy=0.9 - drop,
        val_loss=0.5,
        accuracy_drop=drop,
        seed=seed,
        recovery_epochs=0,
    )


def scan_of(curves: dict[str, dict[float, float]]) -> list[SensitivityRecord]:
    return [record(layer, s, d) for layer, curve in curves.items() for s, d in curve.items()]


CURVES = st.fixed_dictionaries(
    {
        layer: st.fixed_dictionaries({s: st.floats(-0.05, 0.9) for s in (0.3, 0.6, 0.9, 0.99)})
        for layer in ("a", "b", "c")
    }
)
TOTALS = {"a": 1000, "b": 50, "c": 300}


@given(CURVES, st.floats(0, 0.98))
def test_no_mixture_of_scanned_levels_costs_less(
    curves: dict[str, dict[float, float]], sparsity: float
) -> None:
    found = additive_optimum(scan_of(curves), TOTALS, sparsity)
    points = [
        (layer, level, drop)
        for layer, curve in curves.items()
        for level, drop in {0.0: 0.0, **curve}.items()
    ]
    # The oracle: a linear program over mixtures of levels, one mixture a layer.
    removed = [level * TOTALS[layer] for layer, level, _ in points]
    shares = [[float(layer == name) for layer, _, _ in points] for name in TOTALS]
    best = linprog(
        [drop for _, _, drop in points],
        A_eq=[removed, *shares],
        b_eq=[sparsity * sum(TOTALS.values()), 1, 1, 1],
    )

    def cost(layer: str) -> float:
        """The lowest mixture of two levels that makes this layer's sparsity."""
        curve = sorted({0.0: 0.0, **curves[layer]}.items())
        return min(
            np.interp(found[layer], [a[0], b[0]], [a[1], b[1]])
            for a, b in itertools.combinations(curve, 2)
            if a[0] <= found[layer] <= b[0] + 1e-12
        )

    assert best.success
    assert sum(map(cost, TOTALS)) == pytest.approx(best.fun, abs=1e-6)


@given(CURVES, st.floats(0, 0.98))
def test_the_budget_is_met_exactly(curves: dict[str, dict[float, float]], sparsity: float) -> None:
    found = additive_optimum(scan_of(curves), TOTALS, sparsity)
    removed = sum(level * TOTALS[layer] for layer, level in found.items())
    assert removed == pytest.approx(sparsity * sum(TOTALS.values()))
    assert all(0 <= level <= 0.99 for level in found.values())


def test_seeds_are_averaged_and_a_layer_without_a_scan_stays_dense() -> None:
    records = [record("a", 0.9, 0.1), record("a", 0.9, 0.3, seed=1), record("b", 0.9, 0.01)]
    found = additive_optimum(records, {"a": 100, "b": 100, "c": 100}, 0.4)
    assert found["c"] == 0
    assert found["b"] == pytest.approx(0.9)
    assert found["a"] == pytest.approx(0.3)


def test_a_level_that_diverged_is_ruled_out_with_all_above_it() -> None:
    records = [record("a", 0.5, 0.1), record("a", 0.8, float("nan")), record("a", 0.9, 0.1)]
    assert additive_optimum(records, {"a": 10}, 0.5) == {"a": pytest.approx(0.5)}
    with pytest.raises(UsageError, match=r"they reach 0\.5"):
        additive_optimum(records, {"a": 10}, 0.6)
