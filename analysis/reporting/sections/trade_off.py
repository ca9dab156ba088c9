"""The trade-off between quality and size, what it cost to find, and points to choose from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.fronts.choosing import knee_point, operating_points
from analysis.fronts.forecast import LEAST_TRIALS, UPPER, Forecast, forecast_gain
from analysis.fronts.hypervolumes import hypervolume_history
from analysis.fronts.search_progress import plot_hypervolume
from analysis.fronts.study_front import candidates
from analysis.fronts.trade_off import pareto_data, plot_pareto
from analysis.reading.candidates import with_figures
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, count
from analysis.reporting.page.drawing import figure
from analysis.statistics.replicates import searched
from study.records import MetricRecord
from study.telling import Telling, percent, size_text


def trade_off(results: Results) -> Section:
    """Quality against size and against speedup, with the unpruned networks."""
    everything, results = results, searched(results)
    data = pareto_data(results)
    tell, value, size = Telling(results.quality), results.quality.column, results.size
    front = data[data["on_front"]].sort_values(size)
    pruned = front[front["round"] > 0]
    dense = data[data["round"] == 0].groupby("seed")[value].mean()
    if pruned.empty:
        return Section("trade-off", "The trade-off", missing=["No pruned network is on the front."])
    upwards = results.quality.direction == "max"
    best = pruned.sort_values(value, kind="stable", ascending=upwards).iloc[-1]
    smallest = pruned.iloc[0]
    finding = (
        f"The {tell.best('network')} of all {_keeps(best, size)} and reaches "
        f"{tell.value(best[value])}{_against(results.quality, best[value], dense, best['seed'])} "
        "on the data that chose it"
    )
    if len(pruned) > 1:
        finding += (
            f"; the smallest on the front {_keeps(smallest, size, 2)} and reaches "
            f"{tell.value(smallest[value])}"
        )
    finding += "."
    sentences = [
        f"{len(pruned)} of {count(int((data['round'] > 0).sum()), 'pruned network')} "
        f"{'is' if len(pruned) == 1 else 'are'} on the Pareto front: no other network is better "
        "and as small."
    ]
    rounds = candidates(results)
    knee = knee_point(rounds[rounds["round"] > 0], results.objectives)
    if knee is not None:
        sentences.append(
            f"The front bends most at trial {knee['trial_id']}, round {knee['round']}: "
            f"{percent(knee['density'])} of the weights at {tell.value(knee[value])} on "
            "the seed that chose it."
        )
    figures = [figure(finding, plot_pareto(results), front.drop(columns=["study", "on_front"]))]
    if results.rounds["theoretical_speedup"].notna().any():
        figures.append(_speed(results))
    return Section(
        "trade-off", "The trade-off", [*sentences, *_equal_budget(everything)], figures=figures
    )


def budget(results: Results) -> Section:
    """How the front grew over the examples trained on."""
    if not (results.rounds["round"] > 0).any():
        return Section(
            "budget", "What finding it cost", missing=["No pruned network was found yet."]
        )
    results = searched(results)
    history = hypervolume_history(results)
    return Section(
        "budget",
        "What finding it cost",
        figures=[
            figure(
                _when(history, forecast_gain(results)),
                plot_hypervolume(results),
                history[["train_epochs", "networks", "hypervolume", "trial_id", "round"]],
            )
        ],
    )


HARDLY = 0.01
"""Share of the volume below which further trials hardly add."""


def _when(history: pd.DataFrame, forecast: Forecast | None) -> str:
    """By when the front had nearly its final size, and what more trials would add."""
    final, spent = history["hypervolume"].iloc[-1], history["train_epochs"].iloc[-1]
    if final <= 0:
        return "No network is better than the reference."
    reached = {
        share: history.loc[history["hypervolume"] >= share * final, "train_epochs"].iloc[0]
        for share in (0.95, 0.99)
    }
    return (
        f"Of the volume that the front dominates at the end, 95 % was reached after "
        f"{reached[0.95]:,.0f} of {spent:,.0f} epochs and 99 % after {reached[0.99]:,.0f}. "
        f"{_outlook(forecast)}"
    )


def _outlook(forecast: Forecast | None) -> str:
    """What half as many trials again would add."""
    if forecast is None:
        return f"What more trials would add cannot be told from fewer than {LEAST_TRIALS}."
    again = f"Half as many trials again ({forecast.more})"
    sure = f"{UPPER:.0%}".removesuffix("%")
    if forecast.high < HARDLY:
        return (
            f"{again} would add less than {percent(HARDLY, 0)} with {sure} % confidence: more "
            "trials like these would hardly add to it."
        )
    return (
        f"{again} may add up to {percent(forecast.high)} to it (with {sure} % confidence; "
        f"{percent(forecast.mean)} is the most to be expected)."
    )


def points_to_choose(results: Results) -> Section:
    """The best networks near 2, 4, 8, 16 and 32 times smaller."""
    rows, tell = operating_points(results), Telling(results.quality)
    found = rows.dropna(subset=["trial_id"]).to_dict("records")
    absent = [f"{ratio:g} x" for ratio in rows.loc[rows["trial_id"].isna(), "near_ratio"]]
    missing = []
    if absent:
        met = " that meets the study's constraints" if results.constraints else ""
        missing.append(
            f"No network near {', '.join(absent)}{met}: widen the sparsities of [space], or run "
            "more trials."
        )
    return Section(
        "operating-points",
        "Operating points",
        [
            f"The {tell.best('network')} near each compression ratio, from 0.8 to 1.25 times it, "
            "over the seeds that ran it. One seed alone chose the network, and flatters it."
        ],
        tables=[_points(found, results.quality)] if found else [],
        missing=missing,
    )


def _points(rows: list[dict[Hashable, Any]], metric: MetricRecord) -> Table:
    tell = Telling(metric)
    columns = [
        "near", "compression", "speedup", "density", f"{tell.name} (95 % interval)", tell.heading,
        "seeds", "epochs", "network",
    ]  # fmt: skip
    return Table("Operating points", columns, [_cells(row, metric) for row in rows])


def _cells(row: Mapping[Hashable, Any], metric: MetricRecord) -> list[str]:
    tell = Telling(metric, row[f"dense_{metric.name}"])
    value = tell.value(row[metric.column])
    low, high = row[f"{metric.name}_low"], row[f"{metric.name}_high"]
    if low == low:
        value += f" ({tell.interval(low, high)})"
    return [
        f"{row['near_ratio']:g} x",
        f"{row['compression_ratio']:.1f} x",
        f"{row['theoretical_speedup']:.1f} x",
        percent(row["density"]),
        value,
        tell.figure(row[metric.drop_column]),
        str(row["n"]),
        f"{row['train_epochs']:g}",
        f"{row['trial_id']} round {row['round']}",
    ]


def _speed(results: Results) -> Figure:
    metric, tell = results.quality, Telling(results.quality)
    objectives: Objectives = {metric.column: metric.direction, "theoretical_speedup": "max"}
    data = pareto_data(results, objectives)
    front = data[data["on_front"] & (data["round"] > 0)].sort_values("theoretical_speedup")
    last = front.iloc[-1] if len(front) else None
    finding = (
        f"{tell.name[0].upper()}{tell.name[1:]} against theoretical speedup."
        if last is None
        else f"Multiply-adds shrink up to {last['theoretical_speedup']:.1f} x, at "
        f"{tell.value(last[metric.column])}."
    )
    ax = plot_pareto(results, objectives=objectives)
    return figure(finding, ax, front.drop(columns=["study", "on_front"]))


def _equal_budget(results: Results) -> list[str]:
    """The unpruned control that trained as long, where there is one."""
    metric, value = results.quality, results.quality.column
    controls = results.controls[results.controls["role"] == "dense"]
    own = with_figures(results).merge(
        controls[["replicate", "round", value]].rename(
            columns={"replicate": "trial_id", value: "unpruned"}
        ),
        on=["trial_id", "round"],
    )
    own = own[np.isfinite(own["unpruned"])]
    if own.empty:
        return []
    tell = Telling(metric)
    return [
        f"Trained for as many epochs as {_whose(controls)}, and not pruned, the dense network "
        f"reaches {tell.value(own['unpruned'].mean())} on the validation split (mean of "
        f"{count(len(own), 'seed')}); who is better, is told under Is it the mask?"
    ]


def _whose(controls: pd.DataFrame) -> str:
    pairs = controls[["of", "round"]].drop_duplicates()
    if len(pairs) > 1:
        return "the networks that were pruned"
    return f"trial {pairs['of'].iloc[0]} up to round {pairs['round'].iloc[0]}"


def _keeps(network: pd.Series, size: str, digits: int = 1) -> str:
    if size == "density":
        return f"keeps {percent(network['density'], digits)}"
    return f"takes {size_text(size, network[size])}"


def _against(metric: MetricRecord, value: float, dense: pd.Series, seed: int) -> str:
    if seed not in dense.index:
        return ""
    tell, drop = Telling(metric, dense[seed]), metric.drop(dense[seed], value)
    if tell.is_negligible(drop):
        return ", as the dense network of its seed"
    return f", {tell.drop(drop)} the dense network of its seed"
