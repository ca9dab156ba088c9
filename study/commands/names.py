"""``prune-study list`` and ``doctor``."""

from __future__ import annotations

import click

from study.commands.options import CRASH


@click.command("list")
@click.argument(
    "what",
    type=click.Choice(
        ["presets", "tasks", "models", "datasets", "structures", "saliencies", "allocations",
         "schedules", "studies"]
    ),
)  # fmt: skip
@click.option("--storage-path", default="studies", metavar="DIR", help="Where studies are.")
def list_(what: str, storage_path: str) -> None:
    """List the names that a study file or a command may use.

    Saliencies and allocations are those of all structures; docs/smaller.md says which go together,
    and a study file that mixes others is refused with those that it may have. Of structures 2:4
    stands for any n:m.
    """
    from study.commands.listing import names_of
    from study.visible import visible

    for line in names_of(what, storage_path):
        click.echo(visible(line))


@click.command()
@click.option("--storage-path", default="studies", metavar="DIR", help="Where studies would go.")
@click.pass_context
def doctor(ctx: click.Context, storage_path: str) -> None:
    """Check the environment, and say what is wrong and how to mend it."""
    from study.commands.doctor import examine

    findings = examine(storage_path)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
        if not finding.ok:
            click.echo(f"      {finding.remedy}")
    if not all(finding.ok for finding in findings):
        ctx.exit(CRASH)
