"""The trade-off between accuracy and size, what it cost to find, and points to choose from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from analysis.fronts.choosing import knee_point, operating_points
from analysis.fronts.hypervolumes import hypervolume_history
from analysis.fronts.search_progress import plot_hypervolume
from analysis.fronts.trade_off import pareto_data, plot_pareto
from analysis.reading.objectives import Objectives
from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section, Table, count, percent, points
from analysis.reporting.page.drawing import figure
from analysis.statistics.replicates import searched

POINT_COLUMNS = [
    "near", "compression", "speedup", "density", "accuracy (95 % interval)", "drop (points)",
    "seeds", "epochs", "network",
]  # fmt: skip

SPEED: Objectives = {"val_accuracy": "max", "theoretical_speedup": "max"}


def trade_off(results: Results) -> Section:
    """Accuracy against density and against speedup, with the unpruned networks."""
    everything, results = results, searched(results)
    data = pareto_data(results)
    front = data[data["on_front"]].sort_values("density")
    pruned = front[front["round"] > 0]
    dense = data[data["round"] == 0].groupby("seed")["val_accuracy"].mean()
    if pruned.empty:
        return Section("trade-off", "The trade-off", missing=["No pruned network is on the front."])
    best = pruned.sort_values("val_accuracy", kind="stable").iloc[-1]
    smallest = pruned.iloc[0]
    finding = (
        f"The most accurate network of all keeps {percent(best['density'])} and reaches "
        f"{percent(best['val_accuracy'])}, {_against(best['val_accuracy'], dense[best['seed']])} "
        f"of its seed on the data that chose it; the smallest on the front keeps "
        f"{percent(smallest['density'], 2)} and reaches {percent(smallest['val_accuracy'])}."
    )
    sentences = [
        f"{len(pruned)} of {count(int((data['round'] > 0).sum()), 'pruned network')} "
        f"{'is' if len(pruned) == 1 else 'are'} on the front."
    ]
    knee = knee_point(results.rounds[results.rounds["round"] > 0])
    if knee is not None:
        sentences.append(
            f"The front bends most at trial {knee['trial_id']}, round {knee['round']}: "
            f"{percent(knee['density'])} of the weights at {percent(knee['val_accuracy'])} on "
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
                _when(history),
                plot_hypervolume(results),
                history[["train_epochs", "networks", "hypervolume", "trial_id", "round"]],
            )
        ],
    )


def _when(history: pd.DataFrame) -> str:
    """By when the front had nearly its final size."""
    final, spent = history["hypervolume"].iloc[-1], history["train_epochs"].iloc[-1]
    if final <= 0:
        return "No network is better than the reference."
    reached = {
        share: history.loc[history["hypervolume"] >= share * final, "train_epochs"].iloc[0]
        for share in (0.95, 0.99)
    }
    outlook = "it still grows"
    if reached[0.99] < spent / 2:
        outlook = "more trials like these would hardly add to it"
    return (
        f"Of the volume that the front dominates at the end, 95 % was reached after "
        f"{reached[0.95]:,.0f} of {spent:,.0f} epochs and 99 % after {reached[0.99]:,.0f}: "
        f"{outlook}."
    )


def points_to_choose(results: Results) -> Section:
    """The best networks near 2, 4, 8, 16 and 32 times smaller."""
    rows = operating_points(results)
    found = rows.dropna(subset=["trial_id"]).to_dict("records")
    absent = [f"{ratio:g} x" for ratio in rows.loc[rows["trial_id"].isna(), "near_ratio"]]
    missing = []
    if absent:
        missing.append(
            f"No network near {', '.join(absent)}: widen the sparsities of [space], or run more "
            "trials."
        )
    return Section(
        "operating-points",
        "Operating points",
        [
            "The most accurate network near each compression ratio, from 0.8 to 1.25 times it, "
            "over the seeds that ran it."
        ],
        tables=[Table("Operating points", POINT_COLUMNS, [_cells(row) for row in found])]
        if found
        else [],
        missing=missing,
    )


def _cells(row: Mapping[Hashable, Any]) -> list[str]:
    accuracy = percent(row["val_accuracy"])
    if row["accuracy_low"] == row["accuracy_low"]:
        accuracy += f" ({100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f})"
    return [
        f"{row['near_ratio']:g} x",
        f"{row['compression_ratio']:.1f} x",
        f"{row['theoretical_speedup']:.1f} x",
        percent(row["density"]),
        accuracy,
        f"{100 * row['accuracy_drop'] + 0.0:.1f}",
        str(row["n"]),
        f"{row['train_epochs']:g}",
        f"{row['trial_id']} round {row['round']}",
    ]


def _speed(results: Results) -> Figure:
    data = pareto_data(results, SPEED)
    front = data[data["on_front"] & (data["round"] > 0)].sort_values("theoretical_speedup")
    last = front.iloc[-1] if len(front) else None
    finding = (
        "Accuracy against theoretical speedup."
        if last is None
        else f"Multiply-adds shrink up to {last['theoretical_speedup']:.1f} x, at "
        f"{percent(last['val_accuracy'])}."
    )
    ax = plot_pareto(results, objectives=SPEED)
    return figure(finding, ax, front.drop(columns=["study", "on_front"]))


def _equal_budget(results: Results) -> list[str]:
    """The unpruned control that trained as long, where there is one."""
    controls = results.controls[results.controls["role"] == "dense"]
    if controls.empty:
        return []
    own = results.rounds.merge(
        controls[["replicate", "round", "val_accuracy"]].rename(
            columns={"replicate": "trial_id", "val_accuracy": "unpruned"}
        ),
        on=["trial_id", "round"],
    )
    difference = (own["val_accuracy"] - own["unpruned"]).mean()
    beside = f"{points(abs(difference))} {'above' if difference > 0 else 'below'} it"
    if abs(difference) < 5e-4:
        beside = "as accurate"
    return [
        f"Trained for as many epochs without pruning, the dense network reaches "
        f"{percent(own['unpruned'].mean())} (mean of {count(len(own), 'seed')}): "
        f"{_whose(controls)} is {beside} at equal budget."
    ]


def _whose(controls: pd.DataFrame) -> str:
    pairs = controls[["of", "round"]].drop_duplicates()
    if len(pairs) > 1:
        return "the mean of the networks that were pruned"
    return f"trial {pairs['of'].iloc[0]}, pruned up to round {pairs['round'].iloc[0]},"


def _against(accuracy: float, dense: float) -> str:
    difference = accuracy - dense
    if abs(difference) < 5e-4:
        return "as the dense network"
    where = "above" if difference > 0 else "below"
    return f"{points(abs(difference))} {where} the dense network"
