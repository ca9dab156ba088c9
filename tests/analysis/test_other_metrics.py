"""Studies of other metrics than accuracy: told under their names, in their units and directions."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.judging.status import status_text, study_status
from analysis.reporting.report import render_report
from analysis.tables import TABLES, render_table, select_table
from study.errors import NothingToReportError, UsageError
from study.records import LOSS, MetricRecord
from tests.analysis.study_folders import (
    ACCURACY,
    AVERAGE_PRECISION,
    PERPLEXITY,
    R2,
    new_study,
    searched_study,
)

MSE = MetricRecord(name="mse", direction="min", unit="amount")

STUDIES: dict[str, dict[str, Any]] = {
    "perplexity": {"metrics": (PERPLEXITY,)},
    "r2": {"metrics": (R2, MSE)},
    "mse": {"metrics": (R2, MSE), "objectives": 'mse = "min"\nmacs = "min"'},
    "average_precision": {"metrics": (AVERAGE_PRECISION,)},
    "three": {
        "metrics": (PERPLEXITY,),
        "objectives": 'perplexity = "min"\ndensity = "min"\ntrain_epochs = "min"',
    },
    "constrained": {
        "metrics": (PERPLEXITY,),
        "constraints": ["perplexity <= 31", "density <= 0.4"],
    },
    "classifier": {},
    "loss": {"objectives": 'loss = "min"\nparameters = "min"'},
}


@pytest.fixture(scope="module", params=list(STUDIES))
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> analysis.Results:
    path = tmp_path_factory.mktemp("studies") / request.param
    return analysis.load(searched_study(path, trials=14, name=request.param, **STUDIES[path.name]))


def _counts(row: Any, results: analysis.Results) -> bool:
    figures = [getattr(row, metric.column) for metric in results.metrics]
    if not all(math.isfinite(value) for value in figures):
        return False
    limits = [(each.column, each.at_least, each.limit) for each in results.constraints]
    return all(
        getattr(row, column) >= limit if at_least else getattr(row, column) <= limit
        for column, at_least, limit in limits
    )


def _front(results: analysis.Results) -> set[tuple[str, int]]:
    """Pruned networks that nothing beats, by comparing each with every other one."""
    ways = results.objectives
    rows = [row for row in results.rounds.itertuples() if row.round > 0 and _counts(row, results)]

    def cost(row: Any) -> tuple[float, ...]:
        return tuple(getattr(row, n) * (-1 if way == "max" else 1) for n, way in ways.items())

    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    costs = [cost(row) for row in rows]
    return {
        (row.trial_id, row.round)
        for row, own in zip(rows, costs, strict=True)
        if not any(beats(other, own) for other in costs)
    }


def _networks(rows: Any) -> set[tuple[str, int]]:
    return {(row["trial_id"], row["round"]) for row in rows if row["round"] > 0}


def test_one_front_in_status_table_and_report(results: analysis.Results) -> None:
    expected = _front(results)
    assert expected
    assert _networks(study_status(results)["front"]) == expected
    assert _networks(select_table(results, "pareto").to_dict("records")) == expected
    data = analysis.pareto_data(results)
    assert _networks(data[data["on_front"]].to_dict("records")) == expected
    summary = json.loads(render_report(results, "json"))
    assert _networks(summary["front"]) == expected
    front_layers = analysis.front_layers(results)
    assert _networks(front_layers.to_dict("records")) == expected


@pytest.mark.parametrize("tolerated", [0.0, 0.01, 0.02, 0.2])
def test_the_smallest_within_a_tolerance_is_that_of_a_search_through_all(
    results: analysis.Results, tolerated: float
) -> None:
    quality, size, rounds = results.quality, results.size, results.rounds
    dense = float(rounds.loc[rounds["round"] == 0, quality.column].iloc[0])
    allowed = tolerated * (abs(dense) if quality.unit == "amount" else 1.0)
    sign = 1.0 if quality.direction == "max" else -1.0
    good = [
        getattr(row, size)
        for row in rounds.itertuples()
        if row.round > 0
        and _counts(row, results)
        and sign * (dense - getattr(row, quality.column)) <= allowed + 1e-12
    ]
    row = analysis.smallest_within(results, (tolerated,)).iloc[0]
    if not good:
        assert row["n"] == 0
        return
    assert row[size] == min(good)
    drop = sign * (dense - row[quality.column])
    assert row[quality.drop_column] == pytest.approx(drop)
    assert row[f"dense_{quality.name}"] == pytest.approx(dense)


def test_the_best_of_a_group_is_by_the_direction_of_the_metric(results: analysis.Results) -> None:
    quality = results.quality
    found = analysis.scores(results, "retrain", densities=(0.5,))
    rounds = results.rounds[(results.rounds["round"] > 0) & (results.rounds["density"] <= 0.5)]
    way = results.trials.set_index("trial_id")["retrain"]
    values = rounds.groupby("trial_id")[quality.column]
    sign = 1.0 if quality.direction == "max" else -1.0
    each = (sign * values.max() if sign > 0 else sign * values.min()).groupby(way)
    k = each.size().min()
    for group, own in each:
        best = np.mean([max(choice) for choice in combinations(own, k)])
        told = found.set_index("group").loc[group]
        assert told[quality.column] == pytest.approx(sign * best)
        assert told["k"] == k


def test_the_hypervolume_is_the_area_that_a_count_of_cells_gives(
    results: analysis.Results,
) -> None:
    if len(results.objectives) != 2:
        pytest.skip("cells are counted in two objectives")
    history = analysis.hypervolume_history(results)
    reference, ideal = history.attrs["reference"], history.attrs["ideal"]
    counts = [_counts(row, results) for row in results.rounds.itertuples()]
    networks = results.rounds.loc[counts]
    scaled = []
    for name in results.objectives:
        values, start, end = networks[name].to_numpy(), reference[name], ideal[name]
        if name in ("density", "macs", "nonzero_parameters"):
            assert start == pytest.approx(results.rounds[name].max())
            assert end == pytest.approx(0.01 * start)
            values, start, end = np.log(values), math.log(start), math.log(end)
        scaled.append(np.maximum((values - end) / (start - end), 0.0))
    points, corner = np.column_stack(scaled), np.ones(2)
    inside = points[(points < corner).all(axis=1)]
    xs = np.unique(np.append(inside[:, 0], corner[0]))
    area = 0.0
    for left, right in pairwise(xs):
        lowest = inside[inside[:, 0] <= left, 1].min()
        area += (right - left) * (corner[1] - lowest)
    assert len(inside) > 2
    assert history["hypervolume"].iloc[-1] == pytest.approx(area)


def test_words_are_those_of_the_metric(results: analysis.Results) -> None:
    name, quality = results.quality.name, results.quality
    told = [status_text(study_status(results))]
    tables = [table for table in TABLES if table != "importance"]  # slow, and in the report
    told += [render_table(select_table(results, table), "csv").decode() for table in tables]
    text = "\n".join(told)
    assert name in text
    if ACCURACY in results.metrics:
        return
    assert "accura" not in text.lower()
    if results.name not in ("r2", "mse", "average_precision"):
        return  # a report takes seconds, and these are of all units
    page = render_report(results)
    assert "accura" not in page.lower()
    assert "top-" not in page
    dense = results.rounds.loc[results.rounds["round"] == 0, quality.column].iloc[0]
    assert (f"reaches {100 * dense:.1f} %" in page) == (quality.unit == "share")
    if quality.unit != "share":
        assert " point of dense" not in page
        assert not re.search(rf"% {name}\b", page)


def test_importances_and_courses_are_of_the_metric(results: analysis.Results) -> None:
    quality = results.quality
    assert (analysis.importances(results)["objective"] == quality.column).all()
    assert quality.column in analysis.rounds_data(results)
    y = analysis.plot_pareto(results).get_ylabel()
    assert y == f"validation {quality.name.replace('_', ' ')}"
    thresholds = analysis.sensitivity_thresholds(results, 0.02)
    assert thresholds["sparsity"].between(0, 1).all()
    ordered = thresholds["layer"].tolist()
    assert ordered.index("head") == 2  # the most fragile layer


def test_thresholds_of_an_amount_are_relative_to_dense(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path / "s", trials=2, metrics=(PERPLEXITY,)))
    scan = results.sensitivity
    for layer, row in analysis.sensitivity_thresholds(results, 0.05).groupby("layer"):
        crossings = []
        for _, curve in scan[scan["layer"] == layer].groupby("seed"):
            rise = curve["perplexity_drop"] / (curve["val_perplexity"] - curve["perplexity_drop"])
            over = curve["sparsity"][rise > 0.05].min()
            below = curve["sparsity"][curve["sparsity"] < over].max()
            crossings.append((below, over))
        low, high = np.mean(crossings, axis=0)
        assert low <= row["sparsity"].iloc[0] <= high


def test_a_scan_of_another_metric_than_the_studys_tells_the_drops_of_the_studys(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path / "s", objectives='loss = "min"\ndensity = "min"')
    study.sensitivity(seeds=1)
    study.trial("0000", sparsity=0.5)
    results = analysis.load(study.path)
    dense = results.rounds["val_loss"].iloc[0]
    scan = results.sensitivity
    assert scan["loss_drop"].tolist() == pytest.approx((scan["val_loss"] - dense).tolist())
    assert "loss" in analysis.plot_sensitivity(results).get_ylabel()


def diverged(folder: Path, **new: Any) -> analysis.Results:
    """Two trials, one of whose networks has a loss that is not finite, and looks the best."""
    study = new_study(folder, **new)
    study.trial("0000", rounds=1, sparsity=0.8)
    study.trial(
        "0001", rounds=1, sparsity=0.95, accuracy=0.99, figures={"loss": math.nan},
        status="stopped", reason="diverged",
    )  # fmt: skip
    return analysis.load(study.path)


@pytest.mark.parametrize("new", [{}, {"metrics": (PERPLEXITY,)}])
def test_what_diverged_is_on_no_front_and_in_no_headline(
    tmp_path: Path, new: dict[str, Any]
) -> None:
    results = diverged(tmp_path / "s", **new)
    front = study_status(results)["front"]
    assert _networks(front) == {("0000", 1)}
    assert _networks(select_table(results, "pareto").to_dict("records")) == {("0000", 1)}
    assert "0001" not in set(analysis.networks(results)["trial_id"])
    assert "0001" not in set(analysis.smallest_within(results, (0.5,))["trial_id"])
    text = render_report(results, "md")
    assert "0001" not in text.split("## What was run")[0]
    ends = text.split("## What failed")[1]
    assert "1 network diverged" in ends
    table = next(line for line in ends.splitlines() if line.startswith("| 0001 | 1 |"))
    assert "| 0.05" in table
    assert len(analysis.scores(results, "retrain", densities=(0.05,))) == 0


def test_a_dense_run_that_diverged_is_said_first_and_nothing_is_recommended(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", rounds=3, finished=0, accuracy=math.nan, status="stopped",
                reason="diverged")  # fmt: skip
    text = render_report(analysis.load(study.path), "md")
    first = text.split("## How far does it prune?")[1].strip().splitlines()[0]
    assert "diverged" in first
    assert "none is recommended" in first
    assert "smaller" not in text.split("## What was run")[0]


def test_where_no_network_meets_the_constraints_that_is_said_first(tmp_path: Path) -> None:
    path = searched_study(tmp_path / "s", trials=6, constraints=["accuracy >= 1.5"])
    results = analysis.load(path)
    headline = render_report(results, "md").split("## What was run")[0]
    first = headline.split("## How far does it prune?")[1].strip().splitlines()[0]
    assert first.replace("\\", "") == "No network meets accuracy >= 1.5, so none is recommended."
    assert " x smaller" not in headline
    assert study_status(results)["front"] == []
    assert select_table(results, "pareto").empty
    assert analysis.smallest_within(results)["trial_id"].isna().all()
    assert "no network meets val_accuracy >= 1.5" in status_text(study_status(results))


def test_a_constraint_is_on_the_mean_over_seeds(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", constraints=["accuracy >= 0.9"])
    for seed, accuracy in ((0, 0.95), (1, 0.84)):  # 0.895 on average
        study.trial(f"a{seed}", rounds=1, sparsity=0.9, seed=seed, accuracy=accuracy)
        study.trial(f"b{seed}", rounds=1, sparsity=0.5, seed=seed, accuracy=accuracy + 0.01)
    found = analysis.smallest_within(analysis.load(study.path), (0.5,)).iloc[0]
    assert found["trial_id"] == "b0"


def test_studies_of_different_metrics_are_loaded_and_not_compared(tmp_path: Path) -> None:
    paths = [
        searched_study(tmp_path / "a", trials=6, name="a"),
        searched_study(tmp_path / "b", trials=6, name="b", metrics=(PERPLEXITY,)),
    ]
    results = analysis.load(paths)
    assert set(results.rounds["study"]) == {"a", "b"}
    assert results.rounds["val_perplexity"].notna().any()
    for compared in (
        analysis.compare,
        analysis.smallest_within,
        analysis.hypervolume_history,
        analysis.plot_pareto,
        analysis.sensitivity_thresholds,
    ):
        with pytest.raises(UsageError, match=r"a by accuracy .*b by perplexity"):
            compared(results)  # type: ignore[operator]


def test_studies_of_one_metric_are_compared_by_it(tmp_path: Path) -> None:
    paths = [
        searched_study(
            tmp_path / name, trials=24, seeds=(0, 1, 2), name=name, metrics=(PERPLEXITY,),
            rng_seed=seed,
        )
        for seed, name in enumerate("ab")
    ]  # fmt: skip
    results = analysis.load(paths)
    assert results.quality == PERPLEXITY
    page = tmp_path / "compare.md"
    analysis.write_comparison(results, page)
    text = page.read_text()
    assert "## Perplexity at equal density" in text
    assert "Smallest within 0, 1 and 2 % of dense" not in text  # captions are not in Markdown
    told = re.findall(r"At most \d+ % kept: (\w) is \S+ below|no two are told apart over 3", text)
    assert told
    by_study = analysis.compare(results, "study")
    for row in by_study[by_study["low"] > 0].itertuples():  # less is better: b is ahead
        assert f"At most {100 * row.density:.0f} % kept: {row.b} is" in text
    assert "accura" not in text.lower()


def test_controls_and_the_test_split_of_a_metric_of_which_less_is_better(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", metrics=(PERPLEXITY,))
    for seed in range(3):
        name = "0000" if seed == 0 else f"0000-round-3-seed-{seed}"
        study.trial(name, sparsity=0.9, seed=seed)
        study.control(name, "shuffled_initial", 0.6 + 0.001 * seed, seed=seed)
    for round_, perplexity in ((0, 31.0), (3, 50.0)):
        line = {"trial_id": "0000", "round": round_, "test_perplexity": perplexity,
                "test_loss": 1.0, "examples": 100}  # fmt: skip
        study.folder.append_line(json.dumps(line), "test.jsonl")
    results = analysis.load(study.path)
    (control,) = select_table(results, "controls").to_dict("records")
    assert control["perplexity"] < control["control_perplexity"]
    assert control["difference"] < 0
    gaps = analysis.validation_gap(results).set_index("round")
    value = results.rounds["val_perplexity"][3]
    assert gaps.loc[3, "gap"] == pytest.approx(50.0 - value)
    text = render_report(results, "md")
    said = (
        r"is (\S+) better in perplexity \((\S+) to (\S+), 95 % interval over 3 seeds\) than masks"
    )
    figures = re.search(said, text)
    assert figures is not None
    told = [-control["difference"], -control["high"], -control["low"]]
    assert [float(each) for each in figures.groups()] == pytest.approx(told, rel=1e-3)
    assert re.search(r"[0-9.]+ worse on the test split", text)
    assert "is known to" not in text  # of a mean of losses the examples alone say nothing
    assert "test split: 50, dense 31 (seed 0)" in text or "none" in text


def test_a_damaged_task_is_told_of_and_read_as_a_classifier(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    study.folder.write('{"name": 1}', "task.json")
    with pytest.warns(analysis.ProblemWarning, match=r"task\.json is damaged"):
        results = analysis.load(study.path)
    assert results.quality == ACCURACY
    assert results.metrics == (ACCURACY, LOSS)


def test_a_cache_of_other_metrics_is_read_bit_for_bit(tmp_path: Path) -> None:
    path = searched_study(tmp_path / "s", trials=6, metrics=(R2, MSE))
    plain = analysis.load(path, cache=False)
    analysis.load(path, cache=True)
    again = analysis.load(path, cache=True)
    pd.testing.assert_frame_equal(plain.rounds, again.rounds)
    assert again.rounds[["val_r2", "val_mse", "val_loss"]].notna().all(axis=None)


def test_an_empty_study_of_another_metric_says_so(tmp_path: Path) -> None:
    results = analysis.load(new_study(tmp_path / "s", metrics=(R2,)).path)
    assert study_status(results)["quality"] == "r2"
    with pytest.raises(NothingToReportError):
        render_report(results)
