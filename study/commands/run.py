"""``prune-study run``."""

from __future__ import annotations

from typing import Any

import click

from study.commands.options import as_seconds, changes_option, settings, teller


def _show_config_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from study.configuration.help import config_help

        click.echo(config_help())
        ctx.exit()


@click.command()
@click.argument("study", default="digits-mlp", metavar="[STUDY.toml|PRESET]")
@click.option("--name", help="Name of the study and its folder.")
@click.option("--storage-path", metavar="DIR", help="Where its folder is made; a path or a URI.")
@click.option("--num-samples", type=int, metavar="N", help="Trials to run.")
@click.option(
    "--train-samples-budget",
    type=int,
    metavar="N",
    help="Begin no trial once the search has trained on so many examples.",
)
@click.option("--max-concurrent", type=int, metavar="K", help="Trials at a time.")
@click.option("--seed", type=int, metavar="S", help="Seed of the search and of every trial.")
@click.option("--time-budget", metavar="30m", help="Stop after this time: 90s, 30m, 2h.")
@changes_option
@click.option(
    "--constraint",
    metavar='"macs <= 0.4"',
    help="Seek the best network of this share of the dense one's macs or latency_ms, or of this "
    "density.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and write nothing.")
@click.option("--no-report", is_flag=True, help="Write no report, and run nothing for it.")
@click.option(
    "--no-shared-trajectory", is_flag=True, help="Let every trial train its own dense network."
)
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
    from study.configuration.loading import load_config

    own = settings(
        {
            "study.name": options["name"],
            "study.storage_path": options["storage_path"],
            "study.num_samples": options["num_samples"],
            "study.train_samples_budget": options["train_samples_budget"],
            "study.seed": options["seed"],
            "search.target": options["constraint"],
            "study.time_budget_s": as_seconds(options["time_budget"]),
            "resources.max_concurrent": options["max_concurrent"],
            "resources.share_trajectories": False if options["no_shared_trajectory"] else None,
        }
    )
    config = load_config(study, [*changes, *own])

    from study.tuning.preparing import prepare

    prepared = prepare(config, is_new=not options["dry_run"], tell=teller(options["quiet"]))
    if options["dry_run"]:
        from study.commands.dry_run import describe, rehearse_again
        from study.tuning.ray.ray_session import refuse_too_small

        refuse_too_small(config)
        rehearse_again(prepared)
        click.echo(describe(prepared))
        return

    from study.commands.studies.conducting import conduct

    ctx.exit(conduct(prepared, None, report=not options["no_report"], quiet=options["quiet"]))
