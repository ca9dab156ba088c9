"""``prune-study run-or-resume``: what clusters call, so that a job may be sent again."""

from __future__ import annotations

from typing import Any

import click

from study.commands.options import as_seconds, settings
from study.commands.run import run


def _run_or_resume(
    ctx: click.Context, study: str, wait_for_nodes: int, wait_limit: str, room_for: int,
    **options: Any,
) -> None:  # fmt: skip
    """Run a study, or resume it where it was begun before: what `launch` has clusters do."""
    from study.configuration.loading import load_config
    from study.owners import is_unused
    from study.plugins import search_in
    from study.storage import Folder

    own = {"study.name": options["name"], "study.storage_path": options["storage_path"]}
    config = load_config(study, [*options["changes"], *settings(own)])
    limit_s = as_seconds(wait_limit)
    assert limit_s is not None
    if wait_for_nodes > 1 or room_for > 0:
        _prepare_cluster(config, wait_for_nodes, limit_s, room_for)
    folder = Folder(config.study.storage_path).child(config.study.name)
    if is_unused(folder):
        ctx.invoke(run, study=study, **options)
        return
    if config.task.module_dir is not None:
        search_in(config.task.module_dir)  # which may have been somewhere else then
    click.echo(f"{folder.location} was begun before, and is resumed", err=True)
    further = {
        "--num-samples": "num_samples",
        "--train-samples-budget": "train_samples_budget",
        "--max-concurrent": "max_concurrent",
    }
    given = [f"{flag}={options[key]}" for flag, key in further.items() if options[key] is not None]
    assert ctx.parent is not None
    assert isinstance(ctx.parent.command, click.Group)
    resume = ctx.parent.command.get_command(ctx.parent, "resume")
    assert resume is not None
    with resume.make_context(
        "resume", [folder.location, "--trust-code", *given], parent=ctx.parent
    ) as resuming:
        resume.invoke(resuming)


def _prepare_cluster(config: Any, nodes: int, limit_s: float, room_for: int) -> None:
    from study.clusters.ray_nodes import ask_for_room, wait_for_nodes
    from study.tuning.ray.ray_session import ray_session

    with ray_session():
        resources = config.resources
        if room_for > 0:
            needs = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
            ask_for_room(room_for, needs)
        wait_for_nodes(nodes, limit_s, lambda line: click.echo(line, err=True))


run_or_resume = click.Command(
    "run-or-resume",
    callback=click.pass_context(_run_or_resume),
    params=[
        *run.params,
        click.Option(
            ["--wait-for-nodes"], type=click.IntRange(1), default=1, help="Nodes to begin on."
        ),
        click.Option(["--wait-limit"], default="5m", metavar="5m", help="Begin after it anyway."),
        click.Option(
            ["--room-for"],
            type=click.IntRange(0),
            default=0,
            help="Trials at a time for which an autoscaling cluster is to grow.",
        ),
    ],
    help=_run_or_resume.__doc__,
)
