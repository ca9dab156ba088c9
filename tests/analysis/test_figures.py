"""What the main figures draw is what their data say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure

import analysis
from analysis import rounds, style
from analysis.fronts import trade_off
from study.errors import UsageError
from tests.analysis.study_folders import new_study, searched_study


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> analysis.Results:
    return analysis.load(
        searched_study(tmp_path_factory.mktemp("study"), trials=48, seeds=(0, 1), masks=True)
    )


def test_the_trade_off_holds_every_network_once(results: analysis.Results) -> None:
    points = analysis.pareto_data(results)
    pruned = results.rounds[results.rounds["round"] > 0]
    assert (points["round"] > 0).sum() == len(pruned)
    assert not points[points["round"] == 0].duplicated(["study", "seed"]).any()
    front = analysis.pareto_front(results.rounds)
    assert points.index[points["on_front"]].sort_values().equals(front.index.sort_values())


def test_the_trade_off_draws_every_network_and_steps_along_the_front(
    results: analysis.Results,
) -> None:
    ax = analysis.plot_pareto(results)
    drawn = np.concatenate(
        [each.get_offsets() for each in ax.collections if isinstance(each, PathCollection)][:-1]
    )
    pruned = results.rounds[results.rounds["round"] > 0]
    assert sorted(map(tuple, drawn)) == sorted(
        zip(pruned["density"], pruned["val_accuracy"], strict=True)
    )
    front = analysis.pareto_front(results.rounds).sort_values("density")
    step = next(line for line in ax.get_lines() if line.get_drawstyle() == "steps-post")
    assert step.get_xdata().tolist() == front["density"].tolist()
    assert step.get_ydata().tolist() == front["val_accuracy"].tolist()
    assert "density" in ax.get_xlabel()
    assert f"{len(pruned)} pruned networks" in ax.get_title(loc="left")


def test_each_of_several_studies_has_a_front_of_its_own(tmp_path: Path) -> None:
    paths = [
        searched_study(tmp_path / name, trials=20, name=name, rng_seed=place)
        for place, name in enumerate(("one", "two"))
    ]
    both = analysis.load(paths)
    points = analysis.pareto_data(both)
    ax = analysis.plot_pareto(both)
    steps = [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]
    for path, step, (study, own) in zip(paths, steps, points.groupby("study"), strict=True):
        front = analysis.pareto_front(analysis.load(path).rounds).sort_values("density")
        assert step.get_ydata().tolist() == front["val_accuracy"].tolist()
        assert own["on_front"].sum() == len(front)
        names = [text.get_text() for text in ax.get_legend().get_texts()]
        assert f"front of {study} ({len(front)})" in names


def test_studies_of_different_tasks_share_no_trade_off(tmp_path: Path) -> None:
    for name, model in (("one", "lenet300"), ("two", "lenet5")):
        new_study(tmp_path / name, name=name, model=model).trial("a")
    both = analysis.load([tmp_path / "one", tmp_path / "two"])
    for draw in (analysis.plot_pareto, analysis.plot_attainment):
        with pytest.raises(UsageError, match="one prunes lenet300 on mnist5k; two prunes lenet5"):
            draw(both)


def test_a_dense_run_whose_first_record_has_no_value_is_still_drawn(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a")
    study.trial("b")
    results = analysis.load(tmp_path)
    results.rounds.loc[results.rounds["trial_id"] == "a", "val_accuracy"] = np.nan
    points = analysis.pareto_data(results)
    assert points.loc[points["round"] == 0, "trial_id"].tolist() == ["b"]


def test_a_front_that_wants_more_to_the_right_steps_the_other_way(
    results: analysis.Results,
) -> None:
    objectives = {"val_accuracy": "max", "compression_ratio": "max"}
    ax = analysis.plot_pareto(results, objectives)  # type: ignore[arg-type]
    assert any(line.get_drawstyle() == "steps-pre" for line in ax.get_lines())


def test_three_objectives_are_marks_without_a_line(results: analysis.Results) -> None:
    objectives = {"val_accuracy": "max", "density": "min", "train_epochs": "min"}
    ax = analysis.plot_pareto(results, objectives)  # type: ignore[arg-type]
    assert all(line.get_drawstyle() == "default" for line in ax.get_lines())
    with pytest.raises(UsageError, match="two objectives"):
        analysis.plot_pareto(results, {"density": "min"})


def test_a_large_cloud_is_rasterised_and_a_huge_one_counted(
    results: analysis.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_off, "MANY", 10)
    ax = analysis.plot_pareto(results)
    assert any(each.get_rasterized() for each in ax.collections)
    monkeypatch.setattr(trade_off, "TOO_MANY", 10)
    ax = analysis.plot_pareto(results)
    mesh = next(each for each in ax.collections if isinstance(each, QuadMesh))
    assert mesh.get_array().sum() == (results.rounds["round"] > 0).sum()


def test_each_trial_is_a_line_through_its_rounds(results: analysis.Results) -> None:
    ax = analysis.plot_rounds(results)
    lines = [
        tuple(map(tuple, segment))
        for each in ax.collections
        if isinstance(each, LineCollection)
        for segment in each.get_segments()
    ]
    expected = [
        tuple(zip(trial["density"], trial["val_accuracy"], strict=True))
        for _, trial in results.rounds.groupby("trial_id")
    ]
    assert sorted(lines) == sorted(expected)


def test_many_trials_are_drawn_as_medians(
    results: analysis.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_LINES", 5)
    ax = analysis.plot_rounds(results, x="round")
    points = analysis.rounds_data(results, x="round")
    for line in ax.get_lines():
        colours = {look.colour: name for name, look in style.looks(points["retrain"]).items()}
        group = points[points["retrain"] == colours[line.get_color()]]
        medians = group.groupby("round")["val_accuracy"].median()
        assert np.asarray(line.get_ydata()) == pytest.approx(medians.to_numpy())


def test_the_heat_map_of_the_front_has_its_layers_densities(results: analysis.Results) -> None:
    table = analysis.layer_density_data(results)
    front = analysis.pareto_front(results.rounds)
    front = front[front["round"] > 0]
    layers = results.layers.set_index(["trial_id", "round", "layer"])["density"]
    for row in front.itertuples():
        if row.density in table.columns:
            for layer in table.index:
                assert table.loc[layer, row.density] == layers[row.trial_id, row.round, layer]
    assert list(table.columns) == sorted(table.columns, reverse=True)
    assert list(table.index) == ["fc1", "fc2", "head"]


def test_the_hypervolume_figure_states_its_reference_and_floor(results: analysis.Results) -> None:
    ax = analysis.plot_hypervolume(results, x="networks")
    dense = results.rounds[results.rounds["round"] == 0].drop_duplicates("seed")["val_accuracy"]
    title = ax.get_title(loc="left")
    assert title == f"from {100 * dense.mean() - 10:.1f} % accuracy and density 1 to density 0.01"
    history = analysis.hypervolume_history(results)
    line = ax.get_lines()[0]
    assert np.asarray(line.get_ydata()).tolist() == history["hypervolume"].tolist()


def test_fronts_of_seeds_lie_in_order(results: analysis.Results) -> None:
    surfaces = analysis.attainment_surfaces(results.rounds)
    volumes = [analysis.hypervolume(surface) for _, surface in surfaces.groupby("share", sort=True)]
    assert volumes == sorted(volumes, reverse=True)


def test_a_mode_looks_the_same_whatever_else_is_drawn() -> None:
    few, many = style.looks(["lr_rewind"]), style.looks(["reinit", "lr_rewind", "finetune"])
    assert few["lr_rewind"] == many["lr_rewind"]
    assert len({look.marker for look in many.values()}) == 3
    assert len({look.line for look in many.values()}) == 3


def test_colours_differ_in_grey_or_by_marker_and_line() -> None:
    looks = [style.look(number) for number in range(12)]
    assert len({(look.marker, look.line) for look in looks}) == 12


def test_one_trial_has_a_figure_of_its_course(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=3)
    ax = analysis.plot_rounds(analysis.load(tmp_path), x="round")
    assert "n = 1" in ax.get_title(loc="left")
    assert ax.get_xlim()[0] <= 0 <= 3 <= ax.get_xlim()[1]


@pytest.mark.parametrize(
    ("hue", "most"), [("sparsity.fc1", 4), ("trial_id", 8), ("seed", 2), ("retrain", 4)]
)
def test_trials_are_told_apart_in_few_groups_that_hold_all(
    results: analysis.Results, hue: str, most: int
) -> None:
    ax = analysis.plot_rounds(results, hue=hue)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    # The trial that ran its dense round alone has no plan that differs; it is told of.
    counts = [int(re.search(r"\((\d+) trial", name)[1]) for name in names]  # type: ignore[index]
    assert sum(counts) == results.rounds["trial_id"].nunique()
    assert len([name for name in names if "unknown" not in name]) <= most


def test_quarters_are_named_by_their_ends_from_low_to_high(results: analysis.Results) -> None:
    ax = analysis.plot_rounds(results, hue="sparsity.fc1")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    known = results.trials["sparsity.fc1"].dropna()
    edges = [known.quantile(q) for q in (0, 0.25, 0.5, 0.75, 1)]
    inside = [
        known[(known > low) & (known <= high) | (known == edges[0]) & (low == edges[0])]
        for low, high in itertools.pairwise(edges)
    ]
    quarters = [f"{values.min():.3g} to {values.max():.3g}" for values in inside]
    assert [name.split(" (")[0] for name in names][:4] == quarters
    of_quarter = [int(re.search(r"\((\d+)", name)[1]) for name in names[:4]]  # type: ignore[index]
    assert max(of_quarter) - min(of_quarter) <= 1


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (analysis.plot_rounds, {"x": "densty"}, "x: unknown name 'densty'. Did you mean 'density'"),
        (analysis.plot_rounds, {"y": "mask_hash"}, "y: 'mask_hash' holds no numbers"),
        (analysis.plot_rounds, {"x": "finished_at"}, "x: 'finished_at' holds no numbers"),
        (analysis.plot_pareto, {"objectives": 5}, "objectives: 5 is not a mapping"),
        (analysis.plot_attainment, {"objectives": 5}, "objectives: 5 is not a mapping"),
        (analysis.plot_hypervolume, {"reference": 5}, "reference: 5 is not a mapping"),
        (analysis.plot_rounds, {"hue": "retrian"}, "Did you mean 'retrain'"),
        (analysis.plot_hypervolume, {"x": "epochs"}, "Did you mean 'train_epochs'"),
        (analysis.plot_hypervolume, {"reference": {"val_accuracy": 0, "density": np.nan}}, "nan"),
        (analysis.plot_hypervolume, {"reference": {"val_accuracy": 0, "density": np.inf}}, "inf"),
        (analysis.plot_hypervolume, {"objectives": {"densty": "min"}}, "Did you mean 'density'"),
        (analysis.plot_pareto, {"objectives": {"density": "min", "study": "max"}}, "no numbers"),
        (analysis.plot_pareto, {"objectives": ["density", "round"]}, "objectives: "),
        (analysis.plot_attainment, {"by": "sed"}, "Did you mean 'seed'"),
        (analysis.plot_comparison, {"by": "retrian"}, "Did you mean 'retrain'"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest_right_one(
    results: analysis.Results, draw: Callable[..., Axes], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        draw(results, **options)


def test_the_course_of_different_tasks_is_told_apart_by_study(tmp_path: Path) -> None:
    for name, model in (("one", "lenet300"), ("two", "lenet5")):
        new_study(tmp_path / name, name=name, model=model).trial("a")
    both = analysis.load([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(UsageError, match="hue='study'"):
        analysis.plot_rounds(both)
    assert analysis.plot_rounds(both, hue="study").has_data()


def test_the_hypervolume_of_a_single_network_is_seen(tmp_path: Path) -> None:
    new_study(tmp_path).trial("a", rounds=1, accuracy=0.95)
    line = analysis.plot_hypervolume(analysis.load(tmp_path)).get_lines()[0]
    assert line.get_marker() not in ("", "None", None)


def test_names_of_the_costs_stay_within_their_axes(results: analysis.Results) -> None:
    figure = Figure(figsize=(9, 4))
    left, _ = figure.subplots(1, 2)
    analysis.plot_cost(results, ax=left)
    figure.draw_without_rendering()
    legend, axes = left.get_legend().get_window_extent(), left.get_window_extent()
    assert legend.ymax <= axes.ymax
    bars = max(bar.get_window_extent().ymax for bar in left.patches)
    assert legend.ymin >= bars
