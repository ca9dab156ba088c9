"""How far the network prunes: the smallest one within 0, 1 and 2 points of dense."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.choosing import smallest_within
from analysis.reporting.document import Card, Section, count, percent, points
from analysis.results import Results
from study.records import TRIALS_DIR, round_state_file

TOLERANCES = (0.0, 0.01, 0.02)


def headline(results: Results) -> Section:
    """The answer that a reader looks for first."""
    rounds = results.rounds
    dense = rounds[rounds["round"] == 0].groupby("seed")["val_accuracy"].first()
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
    average = f"mean of {count(len(dense), 'seed')}" if len(dense) > 1 else "one seed"
    sentences = [
        f"The dense network reaches {percent(dense.mean())} on the validation split ({average}). "
        "Each card is the smallest network that loses no more than the stated accuracy against "
        "the dense network of its own seed."
    ]
    missing = []
    if rows["n"].max() < 3:
        missing.append(
            "These networks ran on too few seeds for an interval: prune-study replicate DIR "
            "--trial ID --round K --seeds 3, or controls = true under [report]."
        )
    missing.append("Speedups are of multiply-adds; no latency was measured.")
    return Section("headline", "How far does it prune?", sentences, cards, missing=missing)


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
    seeds = int(row["n"])
    notes = [
        f"keeps {percent(row['density'])} of the prunable weights",
        f"{percent(row['val_accuracy'])} accuracy: {_drop(row)}",
        f"{row['theoretical_speedup']:.1f} x fewer multiply-adds",
        *_on_test(row, results),
        f"trial {row['trial_id']}, round {row['round']}"
        + (f", and {count(seeds - 1, 'other seed')}" if seeds > 1 else " (one seed)"),
        f"weights and masks: {TRIALS_DIR}/{row['trial_id']}/{round_state_file(int(row['round']))}",
    ]
    return Card(f"{row['compression_ratio']:.1f} x smaller", _label(row["tolerated_drop"]), notes)


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
    return [f"{percent(accuracy.iloc[0])} on the test split"] if len(accuracy) else []


def _label(tolerance: float) -> str:
    return "as good as dense" if tolerance == 0 else f"within {points(tolerance)} of dense"


def _none(tolerance: float) -> Card:
    return Card("none", _label(tolerance), ["no network of this study is good enough"])
