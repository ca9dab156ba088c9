"""Several studies, or ways of pruning within one, side by side in one file."""

from __future__ import annotations

import os

import pandas as pd

from analysis.comparing.comparison import compare, plot_comparison
from analysis.comparing.hypervolume_comparison import compare_hypervolumes
from analysis.fronts.confirmed import named_networks
from analysis.fronts.search_progress import plot_hypervolume
from analysis.reading.candidates import dense_value
from analysis.reading.results import Results
from analysis.reporting.page.document import Report, Section, as_table, count
from analysis.reporting.page.drawing import figure
from analysis.reporting.page.rendering import to_html, to_markdown
from analysis.spending.cost import cost_summary
from analysis.statistics.replicates import searched
from analysis.statistics.scoring import DENSITIES
from study.errors import NothingToReportError, UsageError
from study.files.locations import read_location
from study.storage import Folder
from study.telling import Telling, percent


def write_comparison(
    results: Results, path: str | os.PathLike[str], by: str = "study", baseline: str | None = None
) -> str:
    """Write a comparison at equal density and equal budget, paired by seed.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or of several.
    path
        The file, local or a URI: HTML, or Markdown where it ends in ``.md``.
    by, baseline
        As in :func:`analysis.compare`.

    Returns
    -------
    str
        Where the comparison is.

    Raises
    ------
    NothingToReportError
        If no round was finished yet.
    UsageError
        If the groups cannot be compared.
    """
    if results.rounds.empty:
        raise NothingToReportError(f"{results.name!r} has no finished round to compare yet")
    if by == "study" and not results.parts:
        raise UsageError("one study cannot be compared by study; choose --by retrain, for example")
    report = Report(
        f"Comparison by {by.replace('_', ' ')}",
        f"{results.name} · {count(len(results.trials), 'trial')}",
        [_quality(results, by, baseline), _volume(results, by), _choices(results), _cost(results)],
    )
    text = os.fspath(path)
    place = read_location(text)
    document = to_markdown(report) if place.name.endswith(".md") else to_html(report)
    Folder(str(place.parent)).write(document, place.name)
    return text


def _quality(results: Results, by: str, baseline: str | None) -> Section:
    most = float(results.rounds["train_epochs"].max())
    found = compare(results, by, baseline=baseline, budgets=[most / 2, most])
    columns = ["a", "b", "density", "budget", "difference", "low", "high", "n", "effect_size",
               "p_holm", "trials_a", "trials_b", "k_a", "k_b"]  # fmt: skip
    chosen = (
        "The best network of each group"
        if by == "study"
        else "What each group has for the best of k trials, with k the trials of the smallest group"
    )
    shown = found[columns].rename(columns={"budget": "at most epochs", "p_holm": "p (Holm)"})
    densities = [level for level in DENSITIES if (results.rounds["density"] <= level).any()]
    seeds, name = results.rounds["seed"].nunique(), Telling(results.quality).name
    missing = []
    if seeds < 3:
        missing.append(
            f"{count(seeds, 'seed')} in all: an interval needs at least two, and a p-value six."
        )
    examples = {
        (part.provenance.get("examples") or {}).get("validation") for part in results.parts.values()
    }
    if by == "study" and len(examples) > 1:
        missing.append(
            "The studies were judged on different validation examples, so part of any difference "
            "is theirs: hold back as much in all of them (held_back under [confirm])."
        )
    return Section(
        results.quality.name,
        f"{name[0].upper()}{name[1:]} at equal density",
        [
            f"{chosen}, among networks no denser, on the validation split; "
            "networks that were replicated count on the seed of their search alone.",
            *_ahead(found, Telling(results.quality, dense_value(results))),
        ],
        figures=[
            figure(
                f"Groups by {by.replace('_', ' ')}, from dense on the right to sparse.",
                plot_comparison(results, by, densities=densities or DENSITIES),
            )
        ],
        tables=[as_table("Differences (a minus b) at equal density and budget", shown)],
        missing=missing,
    )


def _ahead(found: pd.DataFrame, tell: Telling) -> list[str]:
    """At each density, the pair that is farthest apart, without a limit on the budget."""
    told = []
    beyond = "above" if tell.metric.direction == "max" else "below"
    most = found[found["budget"] == found["budget"].max()].dropna(subset=["difference"])
    for density, pairs in most.groupby("density", sort=False):
        row = pairs.loc[pairs["difference"].abs().idxmax()]
        difference = row["difference"]
        ahead, behind = row["a"], row["b"]
        if not tell.is_better(difference):
            ahead, behind = behind, ahead
        kept = f"At most {percent(density, 0)} kept"
        if row["low"] != row["low"]:
            told.append(
                f"{kept}: too few to rank, with {count(int(row['n']), 'pair')} of seeds; run the "
                "studies with other --seed values too."
            )
            continue
        if not (row["low"] > 0 or row["high"] < 0):
            told.append(f"{kept}: no two are told apart over {row['n']} pairs of seeds.")
            continue
        sure = f"the 95 % interval over {row['n']} pairs of seeds leaves out zero"
        # In the metric's own unit: relative to dense it would read as relative to the other.
        size = Telling(tell.metric).gap(difference)
        told.append(f"{kept}: {ahead} is {size} {beyond} {behind} ({sure}).")
    return told


def _volume(results: Results, by: str) -> Section:
    drawing = figure(
        "The volume that the front of each study dominates, over the epochs that it trained.",
        plot_hypervolume(results),
    )
    parts = results.parts or {results.name: results}
    budget = min(cost_summary(searched(part))["spent_train_epochs"] for part in parts.values())
    found = compare_hypervolumes(results, by, budgets=[budget]).drop(columns="budget")
    table = as_table(f"Hypervolume after the {budget:,.0f} epochs that all spent", found)
    return Section("hypervolume", "How fast each got there", figures=[drawing], tables=[table])


def _choices(results: Results) -> Section:
    frame, quality = named_networks(results), results.quality
    tell = Telling(quality)
    columns = ["study", "tolerated_drop", "compression_ratio", "theoretical_speedup", "density",
               quality.confirm_column, quality.drop_column, "drop_bound", "n", "examples",
               "trial_id", "round"]  # fmt: skip
    missing = []
    if frame["trial_id"].isna().any():
        missing.append(
            "A row without a trial: no network of the study was confirmed to be this good. "
            "prune-study confirm DIR runs its best descent again on new seeds."
        )
    return Section(
        "choices",
        "The smallest networks of each",
        [
            f"Confirmed on new seeds: {tell.worse} bound is how far {tell.side(1.0)} dense they "
            "are at most."
        ],
        tables=[as_table("Smallest within each tolerance of dense", tell.columns(frame[columns]))],
        missing=missing,
    )


def _cost(results: Results) -> Section:
    parts = results.parts or {results.name: results}
    rows = [{"study": name, **cost_summary(part)} for name, part in parts.items()]
    return Section("cost", "What each cost", tables=[as_table("Cost", pd.DataFrame(rows))])
