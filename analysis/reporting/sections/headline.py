"""How far the network prunes: the smallest network that was shown to hold, for each tolerance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from analysis.fronts.confirmed import confirmed_networks, named_networks, needed_seeds
from analysis.fronts.confirmed_descents import plot_confirmation
from analysis.judging.to_confirm import best_descent, next_descent
from analysis.reading.candidates import is_candidate, unmet_constraints, with_figures
from analysis.reading.commands import command, export_command
from analysis.reading.results import Results
from analysis.reporting.page.document import Card, Figure, Section, Table, as_table, count
from analysis.reporting.page.drawing import figure
from analysis.reporting.sections.bounds import bound_label, rounded_up
from analysis.reporting.sections.target import at_target
from analysis.spending.latency import clock_of
from analysis.statistics.replicates import searched
from study.confirmation import LEAST_GROUPS
from study.records import TRIALS_DIR, round_state_file
from study.telling import Telling, percent, points, size_text


def headline(results: Results) -> Section:
    """The answer that a reader looks for first."""
    rounds, metric = with_figures(results), results.quality
    dense = rounds[rounds["round"] == 0].groupby("seed")[metric.column].first()
    if (results.rounds["round"] == 0).any() and dense.empty:
        words = (
            "The dense network has no finite figures: training diverged. There is nothing to "
            "compare pruned networks with, and none is recommended."
        )
        return Section("headline", "How far does it prune?", [words])
    if not (results.rounds["round"] > 0).any():
        return Section("headline", "How far does it prune?", missing=[_why_none(results)])
    table, rows = confirmed_networks(results), named_networks(results)
    cards = _cards(rows, table, results) if len(table) else []
    asked = searched(results).rounds["seed"].unique()
    tell, unmet = Telling(metric), unmet_constraints(results)
    sentences = [
        *at_target(results, table),
        *([unmet] if unmet is not None else _nothing_named(results, table, rows)),
        *_diverged_seeds(results, dense),
        f"The dense network reaches {_reached(dense.mean(), tell)} on the validation split"
        f"{_of_examples(results)} ({_seeds(dense, asked, tell)}).",
        *([_how(results, table)] if rows["trial_id"].notna().any() else []),
    ]
    timed = results.rounds["latency_ms"].notna().any()
    unmeasured = [] if timed else ["Speedups are of multiply-adds; no latency was measured."]
    missing = [*_goes_on(results, table), *unmeasured]
    figures, tables = _evidence(results, table) if len(table) else ((), ())
    return Section("headline", "How far does it prune?", sentences, cards, figures, tables, missing)


def summary(results: Results) -> list[dict[str, Any]]:
    """The headline as plain data: for each tolerance the network that was confirmed, or nulls."""
    rows = named_networks(results)
    return [
        {str(name): None if pd.isna(value) else _plain(value) for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


_SMALLEST = {
    "macs": "network of the fewest multiply-adds",
    "train_epochs": "network of the fewest epochs",
}


def _how(results: Results, table: pd.DataFrame) -> str:
    """How a card came about."""
    metric, confidence = results.quality, float(table["confidence"].iloc[0])
    tell = Telling(metric)
    what = _SMALLEST.get(results.size, "smallest network")
    unseen = bool(table["held_back"].all())
    descents = int(table.loc[table["enough"], "trial_id"].nunique())
    examples = (
        "examples that the search did not see"
        if unseen
        else "examples, which are those of the search"
    )
    return (
        f"Each card is the {what} that was shown, with {percent(confidence, 0)} confidence over "
        f"new seeds and {examples}, to be no further {tell.side(1.0)} the dense network's "
        f"{tell.name} than it says."
        + (
            f" As {descents} descents were run again, and one of them may be lucky, the bound of "
            f"each is at {percent(float(table['own_confidence'].iloc[0]), 0)}."
            if descents > 1
            else ""
        )
        + _without_the_best(results, table)
    )


def _without_the_best(results: Results, table: pd.DataFrame) -> str:
    """That the best descent was too dear to be run again, where it was."""
    best = best_descent(searched(results))
    if best is None or best in set(table["trial_id"]):
        return ""
    return (
        f" The best descent of the search, trial {best}, is none of those that were run again: "
        "the best ones that the budget for it pays for are."
    )


_SHOWN = (
    "trial_id", "round", "n", "examples", "density", "compression_ratio", "theoretical_speedup",
)  # fmt: skip
"""Columns of the evidence, before those of the quality."""


def _evidence(
    results: Results, table: pd.DataFrame
) -> tuple[tuple[Figure, ...], tuple[Table, ...]]:
    """What the cards were chosen from: every network that was run again, with its bound."""
    metric = results.quality
    of_metric = (
        metric.confirm_column, f"dense_{metric.name}", metric.drop_column, "drop_low",
        "drop_high", "drop_bound", "test_drop", "test_low", "test_high", "contradicted",
    )  # fmt: skip
    finding = (
        "A card is the smallest network whose upper bound (dotted) lies below its tolerance (grey)."
    )
    shown = Telling(metric).columns(table[[n for n in (*_SHOWN, *of_metric) if n in table]])
    caption = "Every network that was run again on new seeds"
    return (
        (figure(finding, plot_confirmation(results)),),
        (as_table(caption, shown, folded=True),),
    )


def _nothing_named(results: Results, table: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    if rows["trial_id"].notna().any():
        return []
    if len(table):
        again = count(int(table["trial_id"].nunique()), "descent")
        seeds = count(int(table["n"].max()), "new seed")
        within = Telling(results.quality).within(float(rows["tolerated_drop"].max()))
        return [
            f"No network was shown to be within {within} of dense: {again} ran again on {seeds} "
            f"at most, so no card names one.{_no_interval(table)}"
        ]
    if results.config.get("confirm", {}).get("share") == 0:
        why = "the study's [confirm] share is 0"
    elif not is_candidate(results)[(results.rounds["round"] > 0).to_numpy()].any():
        why = "there is no network that could be"
    else:
        why = "the budget was too small, or the study ended before"
    named = ", so none is named here" if results.target is None else ""
    return [
        f"Nothing is confirmed: no network was run again on new seeds ({why}){named}. "
        f"{command(results, 'confirm')} runs the best descent again."
    ]


def _no_interval(table: pd.DataFrame) -> str:
    """That examples which are all of one group say nothing of others."""
    groups = table["groups"]
    if not (groups.notna() & (groups < LEAST_GROUPS)).any():
        return ""
    judged = count(int(groups.min()), "group")
    return (
        f" No interval is possible: the examples that judged are {judged}, and it takes "
        f"{LEAST_GROUPS} to tell how groups differ."
    )


def _goes_on(results: Results, table: pd.DataFrame) -> list[str]:
    """What is still waiting to be confirmed."""
    if table.empty:
        return []
    descent = next_descent(results)
    if descent is None:
        return []
    cost = descent.seeds * descent.samples[descent.last]
    return [
        f"Trial {descent.trial_id} waits to be confirmed up to round {descent.last} on "
        f"{count(descent.seeds, 'new seed')} ({cost:,} training examples, beyond the study's share "
        f"for it): {command(results, 'confirm')}."
    ]


def _cards(rows: pd.DataFrame, table: pd.DataFrame, results: Results) -> list[Card]:
    """One for each network; the tightest tolerance that it was named for says its place."""
    cards: list[Card] = []
    named: set[tuple[str, int]] = set()
    for _, row in rows.sort_values("tolerated_drop").iterrows():
        if pd.isna(row["trial_id"]):
            cards.append(_none(results, table, row["tolerated_drop"]))
            continue
        key = (row["trial_id"], row["round"])
        if key not in named:
            named.add(key)
            cards.append(_card(row, results))
    return cards


def _measured(results: Results, replicates: pd.Series, round_: int) -> list[str]:
    """How much faster the network is without what is dead in it, where that was measured."""
    rounds = results.rounds
    own = rounds[rounds["trial_id"].isin(replicates) & (rounds["round"] == round_)]
    own = own.dropna(subset=["latency_ms"])
    if own.empty:
        return []
    how = clock_of(results)
    return [
        f"{own['speedup_measured'].median():.2f} x faster, measured: "
        f"{own['latency_ms'].median():.3g} ms against {own['dense_latency_ms'].median():.3g} ms "
        f"({how['backend']}, batches of {how['batch_size']}, {count(how['threads'], 'thread')})"
    ]


def _card(row: pd.Series, results: Results) -> Card:
    metric = results.quality
    tell = Telling(metric, row[f"dense_{metric.name}"])
    smaller = f"{row['compression_ratio']:.1f} x smaller"
    faster = f"{row['theoretical_speedup']:.1f} x fewer multiply-adds"
    title = {"macs": faster, "train_epochs": size_text("train_epochs", row["train_epochs"])}
    again = results.confirmation
    own = (again["replicate_of"] == row["trial_id"]) & (again["round"] == row["round"])
    replicate, round_ = again.loc[own, "trial_id"].iloc[0], int(row["round"])
    weights = f"{TRIALS_DIR}/{replicate}/{round_state_file(round_)}"
    notes = [
        f"the smallest shown to be within {tell.within(row['tolerated_drop'])} of dense",
        f"keeps {percent(row['density'])} of the prunable weights",
        f"{tell.named(row[metric.confirm_column])}, dense {tell.value(tell.dense)}: "
        f"{_drop(tell, row[metric.drop_column])} dense "
        f"({percent(2 * row['own_confidence'] - 1, 0)} interval of the {tell.worse}: "
        f"{tell.span(row['drop_low'], row['drop_high'])})",
        *(text for text in (smaller, faster) if text != title.get(results.size, smaller)),
        *_measured(results, again.loc[own, "trial_id"], round_),
        *_on_test(row, Telling(metric, row["test_dense"])),
        f"trial {row['trial_id']}, round {row['round']}{_structure(results, row['trial_id'])}",
        f"weights and masks: {weights}, and of the other seeds beside it",
        export_command(results, replicate, round_),
    ]
    return Card(title.get(results.size, smaller), bound_label(row, tell), notes)


def _structure(results: Results, trial_id: str) -> str:
    """What was removed, where it isn't single weights."""
    structure = results.structure_of(trial_id)
    return "" if structure == "weights" else f"; removed: {structure}"


def _drop(tell: Telling, drop: float) -> str:
    return "as" if tell.is_negligible(drop) else tell.drop(drop)


def _on_test(row: pd.Series, tell: Telling) -> list[str]:
    """What the test split, which chose nothing and confirmed nothing, says of the label.

    ``tell`` knows the dense network's value there: of another split it may be another.
    """
    if pd.isna(row["test_drop"]):
        return []
    if np.isinf(row["test_drop"]):
        return ["CONTRADICTED by the test split: there the outputs of a seed's network diverged"]
    level = percent(2 * row["own_confidence"] - 1, 0)
    said = (
        f"{_drop(tell, row['test_drop'])} dense ({level} interval of the {tell.worse}: "
        f"{tell.span(row['test_low'], row['test_high'])}; "
        f"{count(int(row['n']), 'seed')}, {count(int(row['test_examples']), 'example')})"
    )
    if row["contradicted"]:
        return [f"CONTRADICTED by the test split: {said}, more than the label allows"]
    return [f"test split: {said}"]


def _none(results: Results, table: pd.DataFrame, tolerance: float) -> Card:
    """Why no network is named, with how near the nearest came."""
    metric = results.quality
    known = table[np.isfinite(table["drop_bound"].astype("float64"))]
    notes = ["no network was shown to be this good"]
    fit = known[known["enough"] & known["meets_constraints"]]
    if len(fit):
        best = fit.sort_values("drop_bound", kind="stable").iloc[0]
        tell = Telling(metric, best[f"dense_{metric.name}"])
        examples = int(best["examples"])
        notes.append(
            f"the lowest bound is {tell.gap(rounded_up(best['drop_bound'], tell))} "
            f"(trial {best['trial_id']}, round "
            f"{best['round']}): {count(int(best['n']), 'seed')} and {count(examples, 'example')} "
            "tell no better"
        )
    elif text := _no_interval(table):
        notes.append(text.strip())
    elif len(table):
        needed = needed_seeds(results, int(table["examples"].iloc[0]))
        notes.append(f"naming needs {count(needed, 'seed')}; {command(results, 'confirm')}")
    return Card("none", f"within {Telling(metric).within(tolerance)} of dense", notes)


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


def _why_none(results: Results) -> str:
    failed = int((results.trials["status"] == "errored").sum())
    if failed and failed == len(results.trials):
        return f"All {failed} trials failed before their first cut: why is said at the end."
    return "No pruned network was finished yet; the report can be written again later."


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
