"""The report of a study: one HTML file that needs nothing else, or a summary of it."""

from __future__ import annotations

import os
from typing import Literal

from analysis.judging.samples_budget import samples_budget
from analysis.judging.status import study_state
from analysis.reading.results import Results
from analysis.reporting.page.document import Report, count
from analysis.reporting.page.rendering import to_html, to_markdown
from analysis.reporting.sections.added import added
from analysis.reporting.sections.background import appendix, reviewer, task_name, what_was_run
from analysis.reporting.sections.controls import controls, selection
from analysis.reporting.sections.ends import ends
from analysis.reporting.sections.headline import headline
from analysis.reporting.sections.importance import importance
from analysis.reporting.sections.layers import layers
from analysis.reporting.sections.schedule import schedule
from analysis.reporting.sections.smaller import smaller
from analysis.reporting.sections.trade_off import budget, points_to_choose, trade_off
from analysis.reporting.summary import to_json
from analysis.statistics.replicates import searched
from study.errors import NothingToReportError, UsageError, unknown_name
from study.files.locations import read_location
from study.storage import Folder

Format = Literal["html", "md", "json"]

FORMATS = ("html", "md", "json")

SECTIONS = (
    headline,
    added,
    what_was_run,
    reviewer,
    trade_off,
    budget,
    points_to_choose,
    layers,
    smaller,
    schedule,
    importance,
    controls,
    selection,
    ends,
    appendix,
)
"""In the order in which a reader asks."""


def write_report(
    results: Results, path: str | os.PathLike[str], format: Format | None = None
) -> str:
    """Write the report of a study.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study; it may still be running.
    path
        The file, local or a URI. The same study gives the same bytes.
    format
        ``"html"``, the whole report; ``"md"``, its words and tables for a pull request;
        ``"json"``, its figures for a script. Unset: by the file's ending.

    Returns
    -------
    str
        Where the report is.

    Raises
    ------
    NothingToReportError
        If no round was finished yet.
    UsageError
        If the format is unknown, or the file's ending stands for none, or the results are of
        several studies.
    """
    text = os.fspath(path)
    place = read_location(text)
    document = render_report(results, format or _format_of(place.name))
    Folder(str(place.parent)).write(document, place.name)
    return text


def render_report(results: Results, format: str = "html") -> str:
    """The report as text; see :func:`write_report`."""
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if results.parts:
        raise UsageError("a report is of one study; prune-study compare sets several side by side")
    if results.rounds.empty:
        raise NothingToReportError(f"study {results.name!r} has no finished round to report yet")
    if format == "json":
        return to_json(results)
    report = Report(results.name, _subtitle(results), [section(results) for section in SECTIONS])
    return to_html(report) if format == "html" else to_markdown(report)


def _format_of(name: str) -> str:
    ending = name.rpartition(".")[2] if "." in name else "html"
    if ending not in FORMATS:
        raise unknown_name("the report's file ending", ending, FORMATS)
    return ending


def _subtitle(results: Results) -> str:
    trials, state = len(searched(results).trials), study_state(results)
    planned = results.config.get("study", {}).get("num_samples", trials)
    ended = "ended after " if trials < planned else ""
    told = {
        "interrupted": "interrupted after ",
        "running": "still running: ",
        "failed": "failed after ",
        "dead": "cut off after ",
    }.get(state, ended)
    of = f" of {planned:,}" if told else ""
    parts = [
        task_name(results),
        f"{told}{trials:,}{of} trial{'' if (planned if told else trials) == 1 else 's'}",
        count(int((results.rounds["round"] > 0).sum()), "pruned network"),
    ]
    budget = samples_budget(results)
    if budget is not None and budget.has_ended_it:
        parts.append(f"its budget of {budget.budget:,} training examples was spent")
    if len(results.trials) > trials:
        parts.append(f"{count(len(results.trials) - trials, 'replicate')} among them")
    return " · ".join(parts)
