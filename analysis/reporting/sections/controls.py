"""What the masks are worth, and how much the choice of networks flatters them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.judging.validation_gaps import mean_gap, validation_gap
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, as_table, count, percent, points
from analysis.statistics.intervals import t_interval

ROLES = {
    "reinit": "the same mask on new weights, trained as long as the dense network",
    "shuffled": "as many weights in each layer, chosen at random in every round",
    "dense": "no pruning, as many epochs",
}


Z = 1.96
"""Half the width of a 95 % interval, in standard deviations of a normal distribution."""


def controls(results: Results) -> Section:
    """Each replicated network beside its controls, paired by seed."""
    table = control_table(results)
    if table.empty:
        return Section(
            "controls",
            "Is it the mask?",
            missing=[
                "No controls were run. prune-study replicate DIR --trial ID --round K --seeds 3 "
                "runs a network on new seeds beside its controls; controls = true under [report] "
                "does so at a study's end."
            ],
        )
    sentences = [
        f"{row.network} against {row.control} ({ROLES[str(row.control)]}): {_difference(row)}."
        for row in table.itertuples()
    ]
    return Section(
        "controls",
        "Is it the mask?",
        sentences,
        tables=[as_table("Networks and controls, paired by seed", table)],
    )


def control_table(results: Results) -> pd.DataFrame:
    """Accuracy of replicated networks minus that of each control, over seeds.

    Returns
    -------
    DataFrame
        network (trial and round), control, accuracy, control_accuracy, difference, low, high
        (95 % Student-t), n (seeds).
    """
    found = results.controls
    own = results.rounds[["trial_id", "round", "val_accuracy"]]
    own = own.rename(columns={"trial_id": "replicate", "val_accuracy": "own"})
    pairs = found.merge(own, on=["replicate", "round"])
    rows = []
    for (of, round_, role), group in pairs.groupby(["of", "round", "role"], sort=True):
        spread = t_interval((group["own"] - group["val_accuracy"]).to_numpy())
        rows.append(
            {
                "network": f"trial {of}, round {round_}",
                "control": role,
                "accuracy": group["own"].mean(),
                "control_accuracy": group["val_accuracy"].mean(),
                "difference": spread.mean,
                "low": spread.low,
                "high": spread.high,
                "n": spread.n,
            }
        )
    columns = ["network", "control", "accuracy", "control_accuracy", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "n"])


def selection(results: Results) -> Section:
    """Validation against test accuracy of the networks that were named."""
    table = validation_gap(results)
    if table.empty:
        return Section(
            "selection-bias",
            "How much does choosing flatter?",
            missing=[
                "The test split was not read: the networks above were chosen on the validation "
                "split, which flatters them. It is read once, at a study's end, unless test = "
                "false under [report]."
            ],
        )
    gap = mean_gap(results)
    dense = table[table["round"] == 0]
    sentences = [
        "Networks were chosen by validation accuracy. The test split was read once for each of "
        f"{count(len(table), 'network')}, after the search."
    ]
    if gap.n:
        sentences.append(
            f"The chosen ones are {points(abs(gap.mean))} {'worse' if gap.mean > 0 else 'better'} "
            "on the test split than on the validation split"
            + (
                f"; the dense network, which nothing chose, is "
                f"{points(abs(dense['gap'].mean()))} "
                f"{'worse' if dense['gap'].mean() > 0 else 'better'}."
                if len(dense)
                else "."
            )
        )
        sentences.append(_how_sure(results, table))
    return Section(
        "selection-bias",
        "How much does choosing flatter?",
        [sentence for sentence in sentences if sentence],
        tables=[as_table("Validation against test", table.drop(columns=["study"]))],
    )


def _how_sure(results: Results, table: pd.DataFrame) -> str:
    """How far an accuracy on so many examples may be from the truth."""
    examples = results.held_out["examples"].dropna()
    if examples.empty:
        return ""
    n, accuracy = int(examples.iloc[0]), float(table["test_accuracy"].mean())
    half = Z * (accuracy * (1 - accuracy) / n) ** 0.5
    return (
        f"The test split has {n:,} examples, so one accuracy of {percent(accuracy)} is known to "
        f"about {points(half)} either way: smaller differences between networks say little."
    )


def _difference(row: Any) -> str:
    difference = f"{points(abs(row.difference))} {'better' if row.difference > 0 else 'worse'}"
    if abs(row.difference) < 5e-4:
        difference = "no difference"
    words = f"{difference}, {percent(row.accuracy)} against {percent(row.control_accuracy)}"
    if row.low != row.low:
        return f"{words}, on {count(row.n, 'seed')}; too few for an interval"
    clear = "" if row.low <= 0 <= row.high else " (the interval leaves out zero)"
    low, high = 100 * row.low, 100 * row.high
    return f"{words}, 95 % interval {low:.1f} to {high:.1f} points over {row.n} seeds{clear}"
