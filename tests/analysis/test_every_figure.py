"""Every figure and table, on studies that are small, empty, broken or large."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import analysis
from tests.analysis.study_folders import new_study, searched_study

PLOTS = [name for name in analysis.__all__ if name.startswith("plot_")]

TABLES = [
    "best_at_density",
    "checklist_frame",
    "compare",
    "compare_hypervolumes",
    "confirmed_networks",
    "named_networks",
    "comparison_data",
    "cost_data",
    "dead_units_summary",
    "front_layers",
    "hypervolume_history",
    "hypervolume_scores",
    "importances",
    "layer_density_data",
    "mask_overlap",
    "narrowing_data",
    "networks",
    "operating_points",
    "pareto_data",
    "partial_dependence",
    "plan_parameters",
    "pruning_worth",
    "rounds_data",
    "scores",
    "sensitivity_data",
    "sensitivity_map_data",
    "sensitivity_thresholds",
    "smallest_within",
    "trial_costs",
    "unit_deaths",
    "validation_gap",
]


def _empty(path: Path) -> None:
    new_study(path)


def _only_running(path: Path) -> None:
    new_study(path).trial("0000", rounds=3, finished=-1, status=None)


def _one_trial(path: Path) -> None:
    new_study(path).trial("0000", rounds=2)


def _one_dense_round(path: Path) -> None:
    new_study(path).trial("0000", rounds=2, finished=0, status=None)


def _all_failed(path: Path) -> None:
    study = new_study(path)
    for number in range(12):
        study.trial(
            f"{number:04d}", finished=-1, status="errored", reason="error", error="OSError: gone"
        )


def _all_nan(path: Path) -> None:
    study = new_study(path)
    for number in range(12):
        study.trial(
            f"{number:04d}", sparsity=0.5 + number / 30, accuracy=math.nan, status="stopped",
            reason="diverged",
        )  # fmt: skip


def _constant_accuracy(path: Path) -> None:
    study = new_study(path)
    for number in range(12):
        study.trial(f"{number:04d}", sparsity=0.5 + number / 30, accuracy=0.9)


def _constant_density(path: Path) -> None:
    study = new_study(path)
    for number in range(12):
        study.trial(f"{number:04d}", rounds=1, sparsity=0.8, seed=number % 2)


def _everything_pruned_away(path: Path) -> None:
    study = new_study(path)
    for number in range(12):
        study.trial(f"{number:04d}", rounds=1, sparsity={"fc1": 1.0, "fc2": 1.0, "head": 1.0})


def _many_layers(path: Path) -> None:
    layers = {f"features.block_{n}.convolution.weight": (16, 144) for n in range(60)}
    searched_study(path, trials=14, layers=layers)


def _three_seeds(path: Path) -> None:
    searched_study(path, trials=30, seeds=(0, 1, 2), masks=True)


_COLUMNS: dict[str, list[str]] = {}

CASES: dict[str, Callable[[Path], None]] = {
    "empty": _empty,
    "only running": _only_running,
    "one trial": _one_trial,
    "one dense round": _one_dense_round,
    "all failed": _all_failed,
    "all NaN": _all_nan,
    "constant accuracy": _constant_accuracy,
    "constant density": _constant_density,
    "everything pruned away": _everything_pruned_away,
    "many layers": _many_layers,
    "three seeds": _three_seeds,
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], analysis.Results]:
    loaded: dict[str, analysis.Results] = {}

    def get(case: str) -> analysis.Results:
        if case not in loaded:
            path = tmp_path_factory.mktemp("studies") / "study"
            CASES[case](path)
            loaded[case] = analysis.load(path)
        return loaded[case]

    return get


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PLOTS)
def test_every_figure_is_drawn_on_the_axes_given_and_nowhere_else(
    studies: Callable[[str], analysis.Results], name: str, case: str
) -> None:
    ax = Figure(layout="constrained").add_subplot()
    settings = dict(matplotlib.rcParams)
    drawn = getattr(analysis, name)(studies(case), ax=ax)
    assert isinstance(drawn, Axes)
    assert drawn is ax
    ax.figure.draw_without_rendering()
    assert dict(matplotlib.rcParams) == settings
    assert not plt.get_fignums()
    said = [text.get_text() for text in ax.texts]
    assert ax.has_data() or any(said)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_the_same_columns_whatever_the_study_holds(
    studies: Callable[[str], analysis.Results], name: str, case: str
) -> None:
    table = getattr(analysis, name)(studies(case))
    assert isinstance(table, pd.DataFrame)
    pivots = ("layer_density_data", "sensitivity_map_data", "plan_parameters")
    if name not in pivots:
        if name not in _COLUMNS:
            _COLUMNS[name] = list(getattr(analysis, name)(studies("three seeds")).columns)
        assert list(table.columns) == _COLUMNS[name]


def test_a_figure_of_its_own_does_not_pile_up_where_there_is_no_screen(
    studies: Callable[[str], analysis.Results],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = [analysis.plot_pareto(studies("one trial")) for _ in range(25)]
    assert not plt.get_fignums()
    assert len({id(ax.figure) for ax in axes}) == 25


def test_no_public_name_is_hidden_by_a_module_of_that_name() -> None:
    folder = Path(analysis.__file__).parent
    modules = {path.stem for path in folder.iterdir()}
    assert not modules & set(analysis.__all__)
    assert all(getattr(analysis, name) is not None for name in analysis.__all__)
