"""How far the network prunes: the smallest one within 0, 1 and 2 points of dense."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.fronts.choosing import smallest_within
from analysis.reading.results import Results
from analysis.reporting.page.document import Card, Section, count, percent, points
from analysis.statistics.replicates import networks, searched
from study.records import TRIALS_DIR, round_state_file

TOLERANCES = (0.0, 0.01, 0.02)


def headline(results: Results) -> Section:
    """The answer that a reader looks for first."""
    rounds = results.rounds
    dense = rounds[rounds["round"] == 0].groupby("seed")["val_accuracy"].first()
    asked = searched(results).rounds["seed"].unique()
    if not (rounds["round"] > 0).any():
        return Section(
            "headline",
            "How far does it prune?",
            missing=[_why_none(results)],
        )
    rows = smallest_within(results, TOLERANCES)
    cards = [
        _card(row, results) if pd.notna(row["trial_id"]) else _none(row["tolerated_drop"])
        for _, row in rows.iterrows()
    ]
    if not dense.notna().any():
        words = "The dense network has no finite accuracy: training diverged."
        return Section("headline", "How far does it prune?", [words])
    sentences = [
        f"The dense network reaches {percent(dense.mean())} on the validation split"
        f"{_of_examples(results)} ({_seeds(dense, asked)}). Each card is the smallest network that "
        "loses no more than the stated accuracy against the dense network of its own seed.",
        *_not_confirmed(rows, results),
    ]
    missing = []
    once = rows[(rows["n"] == 1) & (rows["replicates"] == 0)].drop_duplicates(["trial_id", "round"])
    if len(once):
        names = " and ".join(f"--trial {r.trial_id} --round {r.round}" for r in once.itertuples())
        missing.append(
            f"{'Networks' if len(once) > 1 else 'A network'} that ran on one seed "
            f"{'have' if len(once) > 1 else 'has'} no interval, and may owe "
            f"{'their' if len(once) > 1 else 'its'} place to luck: prune-study replicate DIR "
            f"--seeds 3 with {names}; or controls = true under [report], and a controlled_networks "
            "of more than were run."
        )
    missing.append("Speedups are of multiply-adds; no latency was measured.")
    return Section("headline", "How far does it prune?", sentences, cards, missing=missing)


def _of_examples(results: Results) -> str:
    """How many examples an accuracy is of, and so how fine it can be."""
    examples = (results.provenance.get("examples") or {}).get("validation")
    if not examples:
        return ""
    return f" of {examples:,} examples, of which each is {points(1 / examples, 2)}"


def _seeds(dense: pd.Series, asked: Iterable[int]) -> str:
    told = f"mean of {count(len(dense), 'seed')}" if len(dense) > 1 else "one seed"
    own = dense.reindex(list(asked))
    if len(dense) == len(own):
        return told
    return f"{told}; {percent(own.mean())} on the seed of the search"


def _not_confirmed(rows: pd.DataFrame, results: Results) -> list[str]:
    """Networks that the search would have named, and that further seeds took the place from."""
    before = smallest_within(searched(results), TOLERANCES)
    every = networks(results).set_index(["trial_id", "round"])
    told: dict[tuple[str, int], str] = {}
    for (_, then), (_, now) in zip(before.iterrows(), rows.iterrows(), strict=True):
        key = (then["trial_id"], then["round"])
        if pd.isna(then["trial_id"]) or key == (now["trial_id"], now["round"]) or key in told:
            continue
        again = every.loc[key]
        told[key] = (
            f"On the seed of the search, trial {key[0]}, round {key[1]} "
            f"({percent(then['density'])} of the weights) was the smallest "
            f"{_label(then['tolerated_drop'])}; {_measured_on(again)}, it is {_drop(again)}. So it "
            "is not named below."
        )
    return list(told.values())


def _why_none(results: Results) -> str:
    failed = int((results.trials["status"] == "errored").sum())
    if failed and failed == len(results.trials):
        return f"All {failed} trials failed before their first cut: why is said at the end."
    return "No pruned network was finished yet; the report can be written again later."


def summary(results: Results) -> list[dict[str, Any]]:
    """The headline as plain data."""
    rows = smallest_within(results, TOLERANCES)
    return [
        {str(name): None if pd.isna(value) else _plain(value) for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _card(row: pd.Series, results: Results) -> Card:
    notes = [
        f"keeps {percent(row['density'])} of the prunable weights",
        f"{percent(row['val_accuracy'])} accuracy: {_drop(row)}",
        f"{row['theoretical_speedup']:.1f} x fewer multiply-adds",
        *_on_test(row, results),
        f"trial {row['trial_id']}, round {row['round']}, {_measured_on(row)}",
        f"weights and masks: {TRIALS_DIR}/{row['trial_id']}/{round_state_file(int(row['round']))}",
    ]
    return Card(f"{row['compression_ratio']:.1f} x smaller", _label(row["tolerated_drop"]), notes)


def _measured_on(row: pd.Series) -> str:
    seeds, new = int(row["n"]), int(row["replicates"])
    if new:
        return f"on {count(new, 'new seed')}, which did not choose it"
    return f"on {seeds} seeds" if seeds > 1 else "on the one seed that chose it"


def _drop(row: pd.Series) -> str:
    drop = row["accuracy_drop"]
    words = f"{points(abs(drop))} {'below' if drop > 0 else 'above'} dense"
    if abs(drop) < 5e-4:
        words = "as dense"
    if pd.notna(row["drop_low"]):
        words += (
            f" (95 % interval of the drop: {100 * row['drop_low']:.1f} to "
            f"{100 * row['drop_high']:.1f} points, {count(int(row['n']), 'seed')})"
        )
    return words


def _on_test(row: pd.Series, results: Results) -> list[str]:
    rounds = results.rounds
    own = rounds[(rounds["trial_id"] == row["trial_id"]) & (rounds["round"] == row["round"])]
    accuracy = own["test_accuracy"].dropna()
    if accuracy.empty:
        return []
    seed = own["seed"].iloc[0]
    of_seed = rounds[(rounds["round"] == 0) & (rounds["seed"] == seed)]
    dense = of_seed["test_accuracy"].dropna()
    beside = f", dense {percent(dense.iloc[0])}" if len(dense) else ""
    return [f"test split: {percent(accuracy.iloc[0])}{beside} (seed {seed})"]


def _label(tolerance: float) -> str:
    return "as good as dense" if tolerance == 0 else f"within {points(tolerance)} of dense"


def _none(tolerance: float) -> Card:
    return Card("none", _label(tolerance), ["no network of this study is good enough"])
