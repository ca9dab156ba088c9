"""The command line. Commands import what they need when they run, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from study.errors import NothingToReportError, UsageError

OK, CRASH, USAGE, FAILED_TRIALS, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 130

TABLES = ("trials", "rounds", "layers", "sensitivity", "pareto")
FORMATS = ("table", "csv", "json", "parquet")


class _Group(click.Group):
    """Turns the errors that are the user's to mend into one message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            click.echo(f"prune-study: {error}", err=True)
            ctx.exit(USAGE)
        except NothingToReportError as error:
            click.echo(f"prune-study: {error}", err=True)
            ctx.exit(NOTHING)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prune-study")
def main() -> None:
    """Find how far a network prunes, which layers can take it, and which schedule gets it there.

    \b
    prune-study run                    the default study, about a minute on two cores
    prune-study run my-study.toml      your own
    prune-study table DIR pareto       what it found
    """
    # Worker processes get the same path: a user's own task is found beside where he stands.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _show_config_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from study.config_help import config_help

        click.echo(config_help())
        ctx.exit()


@main.command()
@click.argument("study", default="digits-mlp", metavar="[STUDY.toml|PRESET]")
@click.option("--name", help="Name of the study and its folder.")
@click.option("--storage-path", metavar="DIR", help="Where its folder is made; a path or a URI.")
@click.option("--num-samples", type=int, metavar="N", help="Trials to run.")
@click.option("--max-concurrent", type=int, metavar="K", help="Trials at a time.")
@click.option("--seed", type=int, metavar="S", help="Seed of the search and of every trial.")
@click.option("--time-budget", metavar="30m", help="Stop after this time: 90s, 30m, 2h.")
@click.option("--set", "changes", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key.")
@click.option("--dry-run", is_flag=True, help="Say what would run, and write nothing.")
@click.option("--no-report", is_flag=True, help="Write no report at the end.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option(
    "--help-config",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_config_help,
    help="Explain every key of a study file.",
)
@click.pass_context
def run(ctx: click.Context, /, study: str, changes: tuple[str, ...], **options: Any) -> None:
    """Run a study: a study file, or a preset (default: digits-mlp)."""
    from study.config import load_config

    own = {
        "study.name": options["name"],
        "study.storage_path": options["storage_path"],
        "study.num_samples": options["num_samples"],
        "study.seed": options["seed"],
        "study.time_budget_s": _seconds(options["time_budget"]),
        "resources.max_concurrent": options["max_concurrent"],
    }
    given = [f"{key}={_toml_value(value)}" for key, value in own.items() if value is not None]
    config = load_config(study, [*changes, *given])

    from study.tuning.preparing import prepare

    prepared = prepare(config)
    if options["dry_run"]:
        from study.dry_run import describe

        click.echo(describe(prepared))
        return

    from study.progress import Progress
    from study.tuning.launching import run_study

    with Progress(config, quiet=options["quiet"]) as progress:
        finished = run_study(prepared, progress.listen)
    folder = finished.folder
    written = None
    if not options["no_report"]:
        from study.finishing import finish

        written = finish(folder, config, lambda line: click.echo(line, err=True))
    click.echo(written or folder.location)
    if finished.interrupted:
        ctx.exit(INTERRUPTED)
    if finished.failed_trials:
        click.echo(
            f"prune-study: {finished.failed_trials} of {config.study.num_samples} trials failed; "
            f"see prune-study status {folder.location}",
            err=True,
        )
        ctx.exit(FAILED_TRIALS)


@main.command()
@click.argument("study", default="digits-mlp", metavar="[STUDY.toml|PRESET]")
@click.option("--name", help="Name of the folder; default: the study's and -sensitivity.")
@click.option("--storage-path", metavar="DIR", help="Where its folder is made; a path or a URI.")
@click.option("--seed", type=int, metavar="S", help="Seed of the first dense network.")
@click.option("--set", "changes", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key.")
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
def sensitivity(
    study: str,
    name: str | None,
    storage_path: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    format_: str,
) -> None:
    """Scan how much each layer can take on its own, and print what it found."""
    from study.config import load_config

    plain = load_config(study, changes)
    own = {
        "study.name": name or f"{plain.study.name}-sensitivity",
        "study.storage_path": storage_path,
        "study.seed": seed,
    }
    given = [f"{key}={_toml_value(value)}" for key, value in own.items() if value is not None]
    config = load_config(study, [*changes, *given])

    from analysis import load
    from analysis.tables import render_table
    from study.tuning.launching import scan_only
    from study.tuning.preparing import prepare

    folder = scan_only(prepare(config), lambda *_: None)
    found = load(folder.location).sensitivity
    if format_ == "table":
        found = found.pivot_table(index="sparsity", columns="layer", values="val_accuracy")
        found = found.reset_index()
    sys.stdout.buffer.write(render_table(found, format_))
    click.echo(folder.location, err=True)


@main.command()
@click.argument("directory", metavar="DIR")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table")
def status(directory: str, format_: str) -> None:
    """Say how far a running or ended study is."""
    from analysis import load
    from analysis.status import status_text, study_status

    found = study_status(load(directory))
    if format_ == "json":
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(status_text(found))


@main.command("table")
@click.argument("directory", metavar="DIR")
@click.argument("table", type=click.Choice(TABLES))
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def table_(directory: str, table: str, format_: str, output: str | None) -> None:
    """Print a table of a study: trials, rounds, layers, sensitivity or pareto."""
    from analysis import load
    from analysis.tables import render_table, select_table

    data = render_table(select_table(load(directory), table), format_)
    if output is not None:
        Path(output).write_bytes(data)
    elif format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("--format parquet is binary; write it to a file with -o.")
    else:
        sys.stdout.buffer.write(data)


@main.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
@click.option("--by", help="What makes a group: study (default of several), retrain, schedule, ...")
@click.option("--baseline", metavar="GROUP", help="Compare with this group alone.")
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
def compare(
    directories: tuple[str, ...], by: str | None, baseline: str | None, format_: str
) -> None:
    """Compare studies, or ways of pruning within one, at equal density and equal budget."""
    from analysis import compare as compare_groups
    from analysis import load
    from analysis.tables import render_table

    results = load(directories[0] if len(directories) == 1 else list(directories))
    group = by or ("study" if len(directories) > 1 else "retrain")
    found = compare_groups(results, group, baseline=baseline)
    sys.stdout.buffer.write(render_table(found, format_))


@main.command()
@click.argument("directory", metavar="DIR")
@click.option("-o", "--output", metavar="FILE", help="The file; default: report.html in DIR.")
def report(directory: str, output: str | None) -> None:
    """Write the report of a running or ended study, and print where it is."""
    from analysis import load, write_report
    from study.records import REPORT_FILE

    click.echo(write_report(load(directory), output or f"{directory.rstrip('/')}/{REPORT_FILE}"))


@main.command("list")
@click.argument(
    "what",
    type=click.Choice(
        ["presets", "tasks", "models", "datasets", "saliencies", "allocations", "schedules",
         "studies"]
    ),
)  # fmt: skip
@click.option("--storage-path", default="studies", metavar="DIR", help="Where studies are.")
def list_(what: str, storage_path: str) -> None:
    """List the names that a study file or a command may use."""
    from study.listing import names_of

    for line in names_of(what, storage_path):
        click.echo(line)


@main.command()
@click.option("--storage-path", default="studies", metavar="DIR", help="Where studies would go.")
@click.pass_context
def doctor(ctx: click.Context, storage_path: str) -> None:
    """Check the environment, and say what is wrong and how to mend it."""
    from study.doctor import examine

    findings = examine(storage_path)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
        if not finding.ok:
            click.echo(f"      {finding.remedy}")
    if not all(finding.ok for finding in findings):
        ctx.exit(CRASH)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        raise UsageError(f"--time-budget: {text!r} is no time; write 90s, 30m or 2h.") from None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--time-budget: {text!r} is no time above zero.")
    return seconds


def _toml_value(value: object) -> str:
    import json

    return json.dumps(value)


if __name__ == "__main__":
    main()
