"""How far the network prunes: the smallest one within each tolerance of dense."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.fronts.choosing import smallest_within
from analysis.reading.candidates import with_figures
from analysis.reading.results import Results
from analysis.reporting.page.document import Card, Section, count
from analysis.statistics.replicates import networks, searched
from study.records import TRIALS_DIR, MetricRecord, round_state_file
from study.telling import Telling, percent, points, size_text

TOLERANCES = (0.0, 0.01, 0.02)


def headline(results: Results) -> Section:
    """The answer that a reader looks for first."""
    rounds, metric = with_figures(results), results.quality
    dense = rounds[rounds["round"] == 0].groupby("seed")[metric.column].first()
    asked = searched(results).rounds["seed"].unique()
    if (results.rounds["round"] == 0).any() and dense.empty:
        words = (
            "The dense network has no finite figures: training diverged. There is nothing to "
            "compare pruned networks with, and none is recommended."
        )
        return Section("headline", "How far does it prune?", [words])
    if not (results.rounds["round"] > 0).any():
        return Section("headline", "How far does it prune?", missing=[_why_none(results)])
    rows = smallest_within(results, TOLERANCES)
    cards = [
        _card(row, results) if pd.notna(row["trial_id"]) else _none(metric, row["tolerated_drop"])
        for _, row in rows.iterrows()
    ]
    tell = Telling(metric)
    loses = "loses" if metric.direction == "max" else "gains"
    sentences = [
        *_diverged_seeds(results, dense),
        *_unmet(results),
        f"The dense network reaches {_reached(dense.mean(), tell)} on the validation split"
        f"{_of_examples(results)} ({_seeds(dense, asked, tell)}). Each card is the "
        f"{_SMALLEST.get(results.size, 'smallest network')} that {loses} no more than the stated "
        f"{tell.name} against the dense network of its own seed.",
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


_SMALLEST = {
    "macs": "network of the fewest multiply-adds",
    "train_epochs": "network of the fewest epochs",
}


def _reached(value: float, tell: Telling) -> str:
    """A value, with the name of the metric where nobody would guess it."""
    return tell.value(value) if tell.metric.name == "accuracy" else tell.named(value)


def _diverged_seeds(results: Results, dense: pd.Series) -> list[str]:
    rounds = searched(results).rounds
    seeds = sorted(set(rounds.loc[rounds["round"] == 0, "seed"]) - set(dense.index))
    if not seeds:
        return []
    named = ", ".join(str(seed) for seed in seeds)
    return [f"The dense run of seed {named} diverged: no network of it is compared."]


def _unmet(results: Results) -> list[str]:
    """That no network may be recommended, where the study's constraints leave none."""
    if not results.constraints or networks(results)["meets_constraints"].any():
        return []
    written = " and ".join(str(each).removeprefix("val_") for each in results.constraints)
    return [f"No network meets {written}, so none is recommended."]


def _of_examples(results: Results) -> str:
    """How many examples a value is of, and so how fine a share can be."""
    examples = (results.provenance.get("examples") or {}).get("validation")
    if not examples:
        return ""
    if results.quality.unit != "share":
        return f" of {examples:,} examples"
    return f" of {examples:,} examples, of which each is {points(1 / examples, 2)}"


def _seeds(dense: pd.Series, asked: Iterable[int], tell: Telling) -> str:
    told = f"mean of {count(len(dense), 'seed')}" if len(dense) > 1 else "one seed"
    own = dense.reindex(list(asked))
    if len(dense) == len(own):
        return told
    return f"{told}; {tell.value(own.mean())} on the seed of the search"


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
            f"{_label(results.quality, then['tolerated_drop'])}; {_measured_on(again)}, it is "
            f"{_drop(again, results.quality)}. So it "
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
    metric = results.quality
    tell = Telling(metric)
    smaller = f"{row['compression_ratio']:.1f} x smaller"
    faster = f"{row['theoretical_speedup']:.1f} x fewer multiply-adds"
    title = {"macs": faster, "train_epochs": size_text("train_epochs", row["train_epochs"])}
    notes = [
        f"keeps {percent(row['density'])} of the prunable weights",
        f"{tell.named(row[metric.column])}: {_drop(row, metric)}",
        *(text for text in (smaller, faster) if text != title.get(results.size, smaller)),
        *_on_test(row, results),
        f"trial {row['trial_id']}, round {row['round']}, {_measured_on(row)}",
        f"weights and masks: {TRIALS_DIR}/{row['trial_id']}/{round_state_file(int(row['round']))}",
    ]
    return Card(title.get(results.size, smaller), _label(metric, row["tolerated_drop"]), notes)


def _measured_on(row: pd.Series) -> str:
    seeds, new = int(row["n"]), int(row["replicates"])
    if new:
        return f"on {count(new, 'new seed')}, which did not choose it"
    return f"on {seeds} seeds" if seeds > 1 else "on the one seed that chose it"


def _drop(row: pd.Series, metric: MetricRecord) -> str:
    tell, drop = Telling(metric, row[f"dense_{metric.name}"]), row[metric.drop_column]
    words = "as dense" if tell.is_negligible(drop) else f"{tell.drop(drop)} dense"
    if pd.notna(row["drop_low"]):
        words += (
            f" (95 % interval of the {tell.worse}: {tell.span(row['drop_low'], row['drop_high'])}, "
            f"{count(int(row['n']), 'seed')})"
        )
    return words


def _on_test(row: pd.Series, results: Results) -> list[str]:
    rounds, tell, test = results.rounds, Telling(results.quality), results.quality.test_column
    own = rounds[(rounds["trial_id"] == row["trial_id"]) & (rounds["round"] == row["round"])]
    found = own[test].dropna()
    if found.empty:
        return []
    seed = own["seed"].iloc[0]
    of_seed = rounds[(rounds["round"] == 0) & (rounds["seed"] == seed)]
    dense = of_seed[test].dropna()
    beside = f", dense {tell.value(dense.iloc[0])}" if len(dense) else ""
    return [f"test split: {tell.value(found.iloc[0])}{beside} (seed {seed})"]


def _label(metric: MetricRecord, tolerance: float) -> str:
    if tolerance == 0:
        return "as good as dense"
    return f"within {Telling(metric).within(tolerance)} of dense"


def _none(metric: MetricRecord, tolerance: float) -> Card:
    return Card("none", _label(metric, tolerance), ["no network of this study is good enough"])
