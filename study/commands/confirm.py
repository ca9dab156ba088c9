"""``prune-study confirm``."""

from __future__ import annotations

import sys

import click

from study.commands.options import FORMATS


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--trial", "trial_id", metavar="ID", help="Instead of the one that comes next.")
@click.option("--round", "round_", type=int, metavar="K", help="Of --trial: up to it.")
@click.option("--seeds", type=int, metavar="N", help="Of --trial: new seeds; default: enough.")
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
@click.option("--no-report", is_flag=True, help="Do not read test data, nor write the report.")
@click.option("--trust-code", is_flag=True, help="Import the modules that the folder names.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def confirm(
    directory: str,
    trial_id: str | None,
    round_: int | None,
    seeds: int | None,
    format_: str,
    no_report: bool,
    trust_code: bool,
    quiet: bool,
) -> None:
    """Run a descent again on new seeds, and say which of its networks hold.

    Without --trial it is the descent that the report waits for: the best one, the textbook run, or
    one with a network that would take a named one's place. Each call confirms one more.
    """
    from analysis import load
    from analysis.judging.to_confirm import next_descent
    from analysis.tables import render_table, select_table
    from study.commands.studies.confirming import hold_and_run_again
    from study.commands.studies.finishing import read_and_write
    from study.confirmation import seeds_needed
    from study.errors import UsageError
    from study.exporting.networks import study_config
    from study.exporting.trusting import refuse_untrusted
    from study.storage import Folder
    from study.tuning.afterwards.points import find_searched
    from study.visible import visible

    folder = Folder(directory)
    refuse_untrusted(folder, trial_id, trust_code)

    def say(line: str) -> None:
        if not quiet:
            click.echo(visible(line), err=True)

    if trial_id is not None:
        point = find_searched(folder, trial_id, round_)
        if seeds is not None and seeds < 2:
            raise UsageError(f"--seeds: {seeds}; an interval over seeds needs at least 2.")
        examples = (load(directory).provenance.get("examples") or {}).get("confirmation", 0)
        enough = seeds_needed(point.config.confirm.seeds, examples)
        hold_and_run_again(folder, point, enough if seeds is None else seeds, say)
    elif round_ is not None or seeds is not None:
        raise UsageError("--round and --seeds: they say more of a trial; give --trial too.")
    else:
        descent = next_descent(load(directory))
        if descent is None:
            say("all that the report waits for is confirmed, or there is nothing to confirm")
        else:
            point = find_searched(folder, descent.trial_id, descent.last)
            hold_and_run_again(folder, point, descent.seeds, say)
    sys.stdout.buffer.write(render_table(select_table(load(directory), "confirmed"), format_))
    if not no_report:
        say(str(read_and_write(folder, study_config(folder), say)))
