"""The stages of a search: what each took, and what its trials asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.judging.search_stages import PROXIES, search_stages, stage_trials
from analysis.reading.results import Results
from analysis.reporting.page.document import Table
from study.telling import Telling

SAID = {
    "textbook": "the textbook run",
    "scouts": "scouts of recipes, at its cost or less each",
    PROXIES: "short proxies of allocations and costs",
    "offsets": "offsets of layers, by short proxies; of units in full",
    "portfolio": "other methods in full, by the textbook's recipe",
    "challengers": "the best method with what scouts gained",
    "finals": "the winner with the best offsets",
}


INCOMPARABLE = ("textbook", PROXIES, "offsets")
"""Stages whose trials are the textbook run itself, or too short to be set beside it."""

OF_PROXIES = ("sparsity", "rounds", "retrain_epochs", "rewind_epoch", "budget", "cost")
"""Fields in which all short proxies differ from the textbook run."""


def stage_tables(results: Results) -> list[Table]:
    """What each stage took, and its best beside the textbook run."""
    found = search_stages(results)
    if found.empty:
        return []
    tell = Telling(results.quality)
    rows = [
        [
            stage,
            SAID.get(stage, ""),
            f"{trials}",
            f"{samples:,.0f}",
            best,
            _better(tell, gain) if stage not in INCOMPARABLE and sizes else "",
        ]
        for stage, trials, samples, best, gain, sizes in found.itertuples(index=False, name=None)
    ]
    caption = (
        "Stage by stage: how much better than the textbook run the best of a stage is at equal "
        "size, on the data of the search, where the best of several is so by luck as well"
    )
    columns = ["stage", "what it is", "trials", "examples", "best trial", "better by"]
    asked = _asked(results, tell)
    return [Table(caption, columns, rows), *([asked] if asked.rows else [])]


def _asked(results: Results, tell: Telling) -> Table:
    """What each trial asked, but for those that move layers, which are many and much alike."""
    found = stage_trials(results)
    found = found[~found["stage"].isin(("textbook", "offsets"))]
    rows = []
    for name, stage, own, _, gain, error, _, loss in found.itertuples(index=False, name=None):
        better = ""
        if stage not in INCOMPARABLE and not math.isnan(gain):
            spread = "" if math.isnan(error) else f" ± {tell.gap(error)}"
            better = f"{_better(tell, gain)}{spread}"
        is_proxy = stage == PROXIES
        changes = {k: v for k, v in own.items() if not is_proxy or k not in OF_PROXIES}
        own_way = "what all proxies do" if is_proxy else "nothing"
        differs = "; ".join(told_changes(changes)) or own_way
        rows.append(
            [
                name,
                stage,
                differs,
                better,
                f"{loss:.4g}" if is_proxy and not math.isnan(loss) else "",
            ]
        )
    caption = (
        "What was asked, and the answer: whole descents beside the textbook run at equal size "
        "(± standard error, by the spread over sizes of one run; runs of one plan on other seeds "
        "differ by more), short proxies by their mean loss"
    )
    columns = ["trial", "stage", "differs from the textbook run in", "better by", "loss"]
    return Table(caption, columns, rows, words=True)


def _better(tell: Telling, gain: float) -> str:
    said = tell.gap(gain)
    return f"-{said}" if gain < 0 and said != tell.gap(0.0) else said


def told_changes(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Fields of a plan with their values, each with the other's."""
    return [f"{field} {_cell(own)} (not {_cell(other)})" for field, (own, other) in changes.items()]


def _cell(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
