"""``prune-study replicate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from study.commands.options import FAILED_TRIALS, FORMATS
from study.records import TRIALS_DIR

if TYPE_CHECKING:
    from analysis.reading.results import Results
    from study.tuning.afterwards.points import Point


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--trial", "trial_id", required=True, metavar="ID", help="The trial to run again.")
@click.option("--round", "round_", type=int, metavar="K", help="Up to it; default: its last.")
@click.option("--seeds", type=int, default=3, show_default=True, metavar="N", help="New seeds.")
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
@click.option("--trust-code", is_flag=True, help="Import the modules that the folder names.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.pass_context
def replicate(
    ctx: click.Context,
    /,
    directory: str,
    trial_id: str,
    round_: int | None,
    seeds: int,
    format_: str,
    trust_code: bool,
    quiet: bool,
) -> None:
    """Run a network again on new seeds, beside its controls, and compare them.

    The controls of each seed keep as many weights in each layer as the network does, and train
    anew as the dense network was trained: its mask on new initial weights (reinit), masks shuffled
    within each layer on the initial weights of its dense run (shuffled_initial) and on new ones
    (shuffled_reinit); and its mask on new weights for as many epochs as the network took, dense
    run included (reinit_long). One is not pruned, and trains for as many epochs (dense). The
    study's report shows them once it is written again. What was run before is not run again; the
    seeds are those after the seeds of the search and its sensitivity scan.
    """
    from analysis import load
    from analysis.tables import render_table, select_table
    from study.exporting.trusting import refuse_untrusted
    from study.owners import claimed
    from study.storage import Folder
    from study.tuning.afterwards.points import find_searched, new_seeds
    from study.tuning.afterwards.replicating import replicate as run_again
    from study.tuning.afterwards.replicating import seeds_to_run
    from study.visible import visible

    folder = Folder(directory)
    refuse_untrusted(folder, trial_id, trust_code)
    point = find_searched(folder, trial_id, round_)

    def say(name: str) -> None:
        if not quiet:
            click.echo(visible(f"finished {name}"), err=True)

    failed: list[str] = []
    if again := seeds_to_run(folder, point, new_seeds(point.config, seeds)):
        with claimed(folder):
            failed = run_again(folder, point, again, say).failed
    results = load(directory)
    table = select_table(results, "controls")
    own = table[table["network"] == f"trial {point.trial_id}, round {point.round}"]
    sys.stdout.buffer.write(render_table(own, format_))
    without = results.left_out
    without = without[(without["of"] == point.trial_id) & (without["round"] == point.round)]
    for role, why in without[["role", "left_out"]].drop_duplicates().itertuples(index=False):
        click.echo(visible(f"prune-study: {role} was left out: {why}"), err=True)
    untimed = [] if point.config.latency.backend == "none" else _untimed(results, point)
    if untimed:
        click.echo(
            f"prune-study: {', '.join(untimed)}: no latency on record, which [latency] asks for: "
            "an older version ran them. A replicate is run again, and measured, once its folder "
            f"in {TRIALS_DIR} is removed.",
            err=True,
        )
    if failed:
        click.echo(
            f"prune-study: failed: {', '.join(failed)}; see error.txt in their folders", err=True
        )
        ctx.exit(FAILED_TRIALS)


def _untimed(results: Results, point: Point) -> list[str]:
    """The network and its replicates, of those whose latency is not on record."""
    trials, rounds = results.trials, results.rounds
    own = {point.trial_id, *trials.loc[trials["replicate_of"] == point.trial_id, "trial_id"]}
    at = rounds[rounds["trial_id"].isin(own) & (rounds["round"] == point.round)]
    return sorted(at.loc[at["latency_ms"].isna(), "trial_id"])
