"""What the masks are worth, and how much the choice of networks flatters them."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from analysis.comparing.controls import control_table, masks_alone
from analysis.judging.validation_gaps import mean_gap, validation_gap
from analysis.reading.commands import command
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, as_table, count
from analysis.statistics.intervals import wilson
from study.records import MetricRecord
from study.telling import Telling, percent

ROLES = {
    "reinit": "its mask on new initial weights",
    "reinit_long": "its mask on new initial weights, trained for as many epochs",
    "shuffled_initial": "masks shuffled within each layer on its initial weights",
    "shuffled_reinit": "masks shuffled within each layer on new initial weights",
    "dense": "its dense network trained on without pruning",
}
"""What a network is compared with."""

Row = Mapping[Hashable, Any]


def controls(results: Results) -> Section:
    """Each replicated network beside its controls, paired by seed."""
    table, without = control_table(results), _left_out(results)
    if table.empty and not without:
        return Section(
            "controls",
            "Is it the mask?",
            missing=[
                "No controls were run: no network was named that they could stand beside. "
                f"{command(results, 'confirm')} goes on."
                if results.config.get("report", {}).get("controls")
                else "No controls were run. "
                f"{command(results, 'replicate', '--trial ID --round K --seeds 3')} "
                "runs a network on new seeds beside its controls; controls = true under [report] "
                "does so at a study's end."
            ],
        )
    sentences = []
    if len(table):
        sentences.append(
            "All controls of a seed share its data order, and all but the unpruned one keep as "
            "many weights in each layer as the network. The network's epochs count its dense run "
            f"and every round. {_judged_on(results, table)}"
        )
    alone = masks_alone(results)
    for network, rows in table.groupby("network", sort=False):
        sentences += [_sentence(row, results.quality) for row in rows.to_dict("records")]
        masks = alone[alone["network"] == network].to_dict("records")
        sentences += [_of_the_mask(row, results.quality) for row in masks]
        longer = rows[rows["control"] == "reinit_long"].to_dict("records")
        sentences += [_of_the_weights(row, results.quality) for row in longer]
    return Section(
        "controls",
        "Is it the mask?",
        [*sentences, *without],
        tables=[as_table("Networks and controls, paired by seed", table)] if len(table) else [],
    )


def _judged_on(results: Results, table: pd.DataFrame) -> str:
    """Which data say who is better, and over what the intervals are."""
    examples = table["examples"].dropna()
    if examples.empty:
        return "All are judged on the validation split, and intervals are over seeds alone."
    unseen = results.controls["held_back"].eq(True).all()
    which = "that the search did not see" if unseen else "which are those of the search"
    return (
        f"All are judged on {count(int(examples.min()), 'example')} {which}; intervals are over "
        "seeds and examples."
    )


def _left_out(results: Results) -> list[str]:
    """Which networks have no controls of some kind, and why."""
    groups = results.left_out.groupby(["of", "round", "left_out"], sort=True)
    return [
        f"Trial {of}, round {round_} has no controls on weights that were never trained, on "
        f"{count(group['replicate'].nunique(), 'seed')}: {why}."
        for (of, round_, why), group in groups
    ]


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
    # Without a dense value an amount is told in its own unit: the splits may differ in it.
    gap, tell = mean_gap(results), Telling(results.quality)
    twice = (table["round"] == 0) & table.duplicated(["study", "round", "seed"])
    table = table[~twice]  # a seed's dense network stands beside each descent on it
    dense, again = table["round"] == 0, table["replicate_of"].notna()
    of_kind = {
        "chosen by validation": ~dense & ~again,
        "run again on new seeds": ~dense & again,
        "dense": dense,
    }
    told = ", ".join(f"{int(rows.sum())} {kind}" for kind, rows in of_kind.items() if rows.any())
    sentences = [
        f"The test split was read once for each of {count(len(table), 'network')}, after the "
        f"search: {told}."
    ]
    gaps = {
        "The chosen ones are": gap.mean if gap.n else math.nan,
        "networks on new seeds": table.loc[~dense & again, "gap"].mean(),
        "the dense network": table.loc[dense, "gap"].mean(),
    }
    if gap.n:
        chosen, *rest = (
            f"{who} {tell.gap(value)} {'worse' if value > 0 else 'better'}"
            for who, value in gaps.items()
            if math.isfinite(value)
        )
        beside = f"; {', '.join(rest)}, which nothing chose" if rest else ""
        sentences.append(f"{chosen} on the test split than on the validation split{beside}.")
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


def _sentence(row: Row, metric: MetricRecord) -> str:
    """How much better a network is than a control, how sure that is, and what each was given."""
    own, its = f"{row['train_epochs']:,.4g}", f"{row['control_train_epochs']:,.4g}"
    tell = Telling(metric, row[f"control_{metric.name}"])
    values = f"{tell.value(row[metric.name])} against {tell.value(tell.dense)}"
    return (
        f"{_capital(row['network'])} is {_compared(row, tell)} {ROLES[str(row['control'])]} "
        f"({own} epochs of training against {its}): {values}."
    )


def _compared(row: Row, tell: Telling) -> str:
    """2.4 points better (1.1 to 3.7 points, 95 % interval over 3 seeds) than."""
    change, low, high = row["difference"], row["low"], row["high"]
    is_better, is_equal = tell.is_better(change), tell.is_negligible(change)
    # Ends are told in the direction of the word before them; of equal ones, better is positive.
    if tell.is_better(1.0) != (is_better or is_equal):
        low, high = -high, -low
    # Of an amount a share of the control's would pass 100 %: it is told in the metric itself.
    is_amount = tell.metric.unit == "amount"
    span = f"{low:.4g} to {high:.4g}" if is_amount else tell.span(low, high)
    told = f"{span}, 95 % interval over {row['n']} seeds"
    if not math.isfinite(low):
        told = f"on {count(row['n'], 'seed')}, too few for an interval"
    size = f"{abs(change):.4g}" if is_amount else tell.gap(change)
    beside = f" in {tell.name}" if is_amount else ""
    side = f"{size} {'better' if is_better else 'worse'}{beside}"
    if not _leaves_out_zero(row):
        return f"not told apart ({'equal' if is_equal else side}; {told}) from"
    return f"{side} ({told}) than"


def _of_the_mask(row: Row, metric: MetricRecord) -> str:
    """What may be concluded of which weights were kept: the two sides differ in nothing else."""
    tell = Telling(metric, row["shuffled_reinit"])
    compared = f"on the same new weights and for as long, its mask is {_compared(row, tell)}"
    if not _leaves_out_zero(row):
        return (
            f"{_capital(row['network'])}: whether it is the mask is not known; {compared} "
            "shuffled ones."
        )
    found = "which weights of a layer were kept matters by itself"
    if not tell.is_better(row["difference"]):
        found = "which weights of a layer were kept is no advantage by itself"
    return f"{_capital(row['network'])}: {found}; {compared} shuffled ones."


def _of_the_weights(row: Row, metric: MetricRecord) -> str:
    """What may be concluded of all but the mask, at equal epochs."""
    network = _capital(row["network"])
    beyond = "beyond its mask and the length of its training"
    if not _leaves_out_zero(row):
        return (
            f"{network}: whether anything matters {beyond} is not known; at equal epochs no "
            "interval tells it from its mask on new weights."
        )
    if Telling(metric).is_better(row["difference"]):
        return (
            f"{network}: its mask and the length of its training do not explain it; the weights "
            "that it went on from, or the course of its retraining, matter too."
        )
    return (
        f"{network}: its mask and the length of its training explain it; at equal epochs new "
        "weights do better than those that it went on from."
    )


def _leaves_out_zero(row: Row) -> bool:
    """Whether an interval says which side is better; without one nothing does."""
    return bool(row["low"] > 0 or row["high"] < 0)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
