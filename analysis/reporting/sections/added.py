"""What the search added to the textbook run that it began with."""

from __future__ import annotations

import math

from analysis.fronts.added import Added, added_by
from analysis.judging.learnt import moved_layers, plan_differences
from analysis.judging.search_stages import stages_end
from analysis.judging.to_confirm import best_descent, next_descent, textbook_of
from analysis.reading.commands import command
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, count
from analysis.reporting.sections.by_stage import stage_tables, told_changes
from analysis.spending.cost import cost_summary
from analysis.statistics.replicates import searched
from study.telling import Telling, percent, size_text

TITLE = "What did the search add?"


def added(results: Results) -> Section:
    """The best descent against one textbook run, on the data that confirm, with an interval."""
    textbook, best = textbook_of(results), best_descent(searched(results))
    if textbook is None:
        return Section(
            "added",
            TITLE,
            missing=[
                "The study has no textbook run to be measured against: textbook = true under "
                "[search] makes it the first trial."
            ],
        )
    begun, tables = _begun(results, textbook), stage_tables(results)
    if best is None:
        return Section("added", TITLE, [begun, "No trial dominates any volume yet."])
    if best == textbook:
        nothing = (
            "Nothing yet: no other trial dominates as much on the search's own data as the "
            "textbook run does."
        )
        return Section("added", TITLE, [nothing, begun], tables=tables)
    measured, differs = added_by(results, best, textbook), _differs(results, best, textbook)
    if measured is None:
        missing = [_not_known(results, best, textbook)]
        return Section("added", TITLE, [differs, begun], tables=tables, missing=missing)
    said = [_verdict(measured, results, best), differs, begun]
    return Section("added", TITLE, said, tables=tables)


MOST_LAYERS = 6
"""Layers that are named as moved; where there are more, the largest changes."""


def _differs(results: Results, best: str, textbook: str) -> str:
    """What the plan of the best descent has that the textbook run's has not."""
    fields = told_changes(plan_differences(results, best, textbook))
    moved = moved_layers(results, best)
    named = [f"{layer} x {math.exp(by):.2g}" for layer, by in list(moved.items())[:MOST_LAYERS]]
    if len(moved) > MOST_LAYERS:
        named[-1] += f" and {count(len(moved) - MOST_LAYERS, 'more layer')}"
    if named:
        fields.append(f"scores of layers that are multiplied: {', '.join(named)}")
    if not fields:
        return f"The plan of trial {best} is the textbook run's, from another seed."
    return f"The plan of trial {best} differs from the textbook run's in {'; '.join(fields)}."


def _verdict(measured: Added, results: Results, best: str) -> str:
    tell = Telling(results.quality)
    gap = tell.gap(measured.mean)
    span = tell.span(measured.low, measured.high)
    if measured.low > 0:
        said = f"Trial {best}, the best descent, is {gap} better than the textbook run"
    elif measured.high < 0:
        said = f"Nothing: trial {best}, the best descent, is {gap} worse than the textbook run"
    else:
        said = (
            f"Nothing that could be shown: trial {best}, the best descent, is {gap} "
            f"{'better' if measured.mean > 0 else 'worse'} than the textbook run"
        )
    unseen = (
        "that the search did not see" if measured.held_back else "which are those of the search"
    )
    return (
        f"{said} at equal size ({percent(measured.confidence, 0)} interval {span}; mean over "
        f"{_sizes(measured, results)}, {count(measured.seeds, 'new seed')}, "
        f"{count(measured.examples, 'example')} {unseen})."
    )


def _sizes(measured: Added, results: Results) -> str:
    ends = (size_text(results.size, each) for each in (measured.largest, measured.smallest))
    return f"{' to '.join(ends)} on a log scale"


def _begun(results: Results, textbook: str) -> str:
    """What the textbook run is, and its part of the cost."""
    own = searched(results)
    of_textbook = own.rounds[own.rounds["trial_id"] == textbook]
    spent = cost_summary(own)["spent_train_samples"]
    rounds = int(of_textbook["round"].max())
    plan = own.trials.set_index("trial_id").loc[textbook]
    structure, sparsity = plan["structure"], float(str(plan["sparsity"]))
    cut = 1.0 - (1.0 - sparsity) ** (1.0 / int(str(plan["rounds"])))
    how = _way(structure if isinstance(structure, str) else "weights")
    return (
        f"The textbook run is trial {textbook}: {how}, {count(rounds, 'round')} that each cut "
        f"{percent(cut, 0)} of what remains, learning-rate rewinding. It took "
        f"{of_textbook['train_samples'].max():,.0f} training examples, its dense run included; the "
        f"whole search {spent:,.0f}. {stages_end(results)}"
    ).rstrip()


def _way(structure: str) -> str:
    """How the textbook run removes what it does."""
    if structure == "weights":
        return "LAMP"
    if structure == "blocks":
        return "blocks by LAMP"
    if structure in ("channels", "heads", "units"):
        return f"{structure} of least L1 norm, evenly over layers"
    return f"{structure} of least magnitude, evenly over layers"


def _not_known(results: Results, best: str, textbook: str) -> str:
    descent = next_descent(results)
    waits = descent is not None and descent.trial_id in (best, textbook)
    return (
        f"On the search's own data trial {best} dominates more than the textbook run, which is "
        "what the best of many does by luck as well. Whether it holds is not known: both must be "
        "run again on the same new seeds" + (f", {command(results, 'confirm')}." if waits else ".")
    )
