"""What the masks are worth, and how much the choice of networks flatters them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.judging.validation_gaps import mean_gap, validation_gap
from analysis.reading.candidates import dense_value, with_figures
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, as_table, count
from analysis.statistics.intervals import t_interval, wilson
from study.records import MetricRecord
from study.telling import Telling, percent

ROLES = {
    "reinit": "the same mask on new weights, trained as long as the dense network",
    "shuffled": "as many weights in each layer, chosen at random in every round",
    "dense": "no pruning, as many epochs",
}


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
        f"{row['network']} against {row['control']} ({ROLES[str(row['control'])]}): "
        f"{_difference(row, results.quality)}."
        for row in table.to_dict("records")
    ]
    return Section(
        "controls",
        "Is it the mask?",
        sentences,
        tables=[as_table("Networks and controls, paired by seed", table)],
    )


def control_table(results: Results) -> pd.DataFrame:
    """Quality of replicated networks minus that of each control, over seeds.

    Returns
    -------
    DataFrame
        network (trial and round), control, NAME and control_NAME (of the study's quality),
        difference, low, high (95 % Student-t), n (seeds). What diverged is left out.
    """
    name, value = results.quality.name, results.quality.column
    found = results.controls[np.isfinite(results.controls[value])]
    own = with_figures(results)[["trial_id", "round", value]]
    own = own.rename(columns={"trial_id": "replicate", value: "own"})
    pairs = found.merge(own, on=["replicate", "round"])
    rows = []
    for (of, round_, role), group in pairs.groupby(["of", "round", "role"], sort=True):
        spread = t_interval((group["own"] - group[value]).to_numpy())
        rows.append(
            {
                "network": f"trial {of}, round {round_}",
                "control": role,
                name: group["own"].mean(),
                f"control_{name}": group[value].mean(),
                "difference": spread.mean,
                "low": spread.low,
                "high": spread.high,
                "n": spread.n,
            }
        )
    columns = ["network", "control", name, f"control_{name}", "difference", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def selection(results: Results) -> Section:
    """Validation against test figures of the networks that were named."""
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
    gap, tell = mean_gap(results), Telling(results.quality, dense_value(results))
    dense = table[table["round"] == 0]
    sentences = [
        f"Networks were chosen by validation {tell.name}. The test split was read once for each of "
        f"{count(len(table), 'network')}, after the search."
    ]
    if gap.n:
        sentences.append(
            f"The chosen ones are {tell.gap(gap.mean)} {'worse' if gap.mean > 0 else 'better'} "
            "on the test split than on the validation split"
            + (
                f"; the dense network, which nothing chose, is "
                f"{tell.gap(dense['gap'].mean())} "
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
    """How far a share of so many examples may be from the truth."""
    examples, metric = results.held_out["examples"].dropna(), results.quality
    if examples.empty or not _COUNTED.fullmatch(metric.name):
        return ""
    n, share = int(examples.iloc[0]), float(table[metric.test_column].mean())
    if not 0.0 <= share <= 1.0:
        return ""
    low, high = wilson(share, n)
    tell = Telling(metric)
    return (
        f"The test split has {n:,} examples, so one {tell.name} of {percent(share)} is known to "
        f"be {tell.interval(low, high)} % (95 % interval): smaller differences between networks "
        "say little."
    )


_COUNTED = re.compile(r"accuracy|top\d+")
"""Metrics that are a share of the examples; of others the number of examples says nothing."""


def _difference(row: Mapping[Hashable, Any], metric: MetricRecord) -> str:
    name, change, low, high = metric.name, row["difference"], row["low"], row["high"]
    tell = Telling(metric, row[f"control_{name}"])
    difference = f"{tell.gap(change)} {'better' if tell.is_better(change) else 'worse'}"
    if tell.is_negligible(change):
        difference = "no difference"
    values = f"{tell.value(row[name])} against {tell.value(row[f'control_{name}'])}"
    words = f"{difference}, {values}"
    if low != low:
        return f"{words}, on {count(row['n'], 'seed')}; too few for an interval"
    clear = "" if low <= 0 <= high else " (the interval leaves out zero)"
    return f"{words}, 95 % interval {tell.span(low, high)} over {row['n']} seeds{clear}"
