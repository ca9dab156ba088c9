"""``prune-study status``, ``table``, ``compare`` and ``report``: what a study found."""

from __future__ import annotations

import sys

import click

from study.commands.options import FORMATS
from study.errors import NothingToReportError, UsageError
from study.files.outputs import write_output

WATCH_INTERVAL_S = 2.0


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table")
@click.option("--watch", is_flag=True, help="Show it again and again until the study is over.")
def status(directory: str, format_: str, watch: bool) -> None:
    """Say how far a running or ended study is."""
    from analysis import load
    from analysis.judging.status import status_text, study_status

    def text() -> tuple[str, bool]:
        found = study_status(load(directory))
        running = found["state"] == "running"
        if format_ == "json":
            import json

            return json.dumps(found, indent=None if watch else 2), running
        return status_text(found), running

    if not watch:
        click.echo(text()[0])
        return
    from study.terminal.watching import watch as watch_until_over

    watch_until_over(text, WATCH_INTERVAL_S, redraw=format_ == "table" and sys.stdout.isatty())


@click.command("table")
@click.argument("directory", metavar="DIR")
@click.argument("table", metavar="TABLE")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def table_(directory: str, table: str, format_: str, output: str | None) -> None:
    """Print a table of a study.

    \b
    what was recorded   trials, rounds, layers, sensitivity
    what to take        pareto, smallest, best, points
    what it says        thresholds, comparison, importance, controls, cost, checklist
    """
    from analysis import load
    from analysis.tables import TABLES, render_table, select_table
    from study.errors import unknown_name

    if table not in TABLES:
        raise unknown_name("table", table, TABLES)
    frame = select_table(load(directory), table)
    if frame.empty:
        raise NothingToReportError(f"the table {table} has no rows in {directory}")
    data = render_table(frame, format_)
    if output is not None:
        write_output(output, data)
    elif format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("--format parquet is binary; write it to a file with -o.")
    else:
        sys.stdout.buffer.write(data)


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
@click.option("--by", help="What makes a group: study (default of several), retrain, schedule, ...")
@click.option("--baseline", metavar="GROUP", help="Compare with this group alone.")
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
@click.option("-o", "--output", metavar="FILE", help="Write there; .html gives a whole report.")
def compare(
    directories: tuple[str, ...],
    by: str | None,
    baseline: str | None,
    format_: str,
    output: str | None,
) -> None:
    """Compare studies, or ways of pruning within one, at equal density and equal budget."""
    from analysis import compare as compare_groups
    from analysis import load
    from analysis.tables import render_table

    results = load(directories[0] if len(directories) == 1 else list(directories))
    group = by or ("study" if len(directories) > 1 else "retrain")
    if output is not None and output.endswith((".html", ".md")):
        from analysis.reporting.comparison_report import write_comparison

        click.echo(write_comparison(results, output, group, baseline))
        return
    found = compare_groups(results, group, baseline=baseline)
    if found.empty:
        raise NothingToReportError(f"no two groups by {group} reached a density that is compared")
    data = render_table(found, format_)
    if output is not None:
        write_output(output, data)
    else:
        sys.stdout.buffer.write(data)


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("-o", "--output", metavar="FILE", help="The file; default: report.html in DIR.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["html", "md", "json"]),
    help="md and json without -o go to stdout; default: by the file's ending, else html.",
)
def report(directory: str, output: str | None, format_: str | None) -> None:
    """Write the report of a running or ended study, and print where it is."""
    from analysis import load, write_report
    from analysis.reporting.report import render_report
    from study.records import REPORT_FILE

    if output is None and format_ in ("md", "json"):
        click.echo(render_report(load(directory), format_), nl=False)
        return
    place = output or f"{directory.rstrip('/')}/{REPORT_FILE}"
    click.echo(write_report(load(directory), place, format_))  # type: ignore[arg-type]
