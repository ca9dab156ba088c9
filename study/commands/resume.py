"""``prune-study resume``."""

from __future__ import annotations

import click

from study.commands.options import as_seconds, teller


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--num-samples", type=int, metavar="N", help="Trials in all, the finished included.")
@click.option(
    "--train-samples-budget",
    type=int,
    metavar="N",
    help="Training examples in all; begin no trial after them.",
)
@click.option("--time-budget", metavar="30m", help="Stop after this time from now: 90s, 30m, 2h.")
@click.option("--max-concurrent", type=int, metavar="K", help="Trials at a time.")
@click.option("--retry-errored", is_flag=True, help="Failed trials go on from where they stood.")
@click.option("--restart-errored", is_flag=True, help="Failed trials begin anew.")
@click.option("--trust-code", is_flag=True, help="Import the modules that the folder names.")
@click.option("--no-report", is_flag=True, help="Write no report, and run nothing for it.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    directory: str,
    num_samples: int | None,
    train_samples_budget: int | None,
    time_budget: str | None,
    max_concurrent: int | None,
    retry_errored: bool,
    restart_errored: bool,
    trust_code: bool,
    no_report: bool,
    quiet: bool,
) -> None:
    """Go on with a study that was cut off, or give it more trials.

    Finished rounds are neither lost nor run again; a trial goes on from its last checkpoint. The
    folder alone is needed: it may have been moved, or copied from a bucket.
    """
    from study.commands.studies.conducting import conduct
    from study.errors import UsageError
    from study.storage import Folder
    from study.tuning.resuming import prepare_resume

    if retry_errored and restart_errored:
        raise UsageError("--retry-errored and --restart-errored: give one of them.")
    prepared, past = prepare_resume(
        Folder(directory),
        num_samples=num_samples,
        train_samples_budget=train_samples_budget,
        time_budget_s=as_seconds(time_budget),
        max_concurrent=max_concurrent,
        errored="retry" if retry_errored else "restart" if restart_errored else "keep",
        trust_code=trust_code,
        tell=teller(quiet),
    )
    ctx.exit(conduct(prepared, past, report=not no_report, quiet=quiet))
