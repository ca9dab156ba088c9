"""What the search saves, against what a person would do without it.

    python -m benchmarks.search run --task mnist5k
    python -m benchmarks.search run --task cnn --seeds 1 --methods textbook,naive
    python -m benchmarks.search run --task cnn-macs
    python -m benchmarks.search report --picture docs/rivals.png

``run`` goes seed by seed through the methods and keeps what each found in ``--folder``, a file for
each task, method and seed; what is there is not run again. Two that share no seed can run at once.
``report`` prints the tables: test volumes of the networks that validation chose, at their cost; of
tasks that end in -macs or -channels test accuracy at shares of the multiply-adds.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click

from benchmarks.search.methods import METHODS, RIVALS, STAGED_TRIALS, most_trials, run
from benchmarks.search.report import SHOWN, Runs, draw, lines, markdown
from benchmarks.search.sized import SEARCH, run_sized
from benchmarks.search.sized_report import sized_table
from benchmarks.search.sized_tasks import SIZED
from benchmarks.search.tasks import SETTINGS
from benchmarks.search.volumes import Network

FOLDER = click.option("--folder", default="build/search", type=Path)


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--task", type=click.Choice([*SETTINGS, *SIZED]), default="mnist5k")
@click.option("--seeds", type=int, help="How many; unset: 5, and 3 for networks of convolutions.")
@click.option("--first-seed", default=0, help="Where they begin.")
@click.option("--trials", type=int, help="Of the studies; unset: 24 by TPE, and 60 by stages.")
@click.option("--methods", help="Which, with commas between; unset: all rivals.")
@FOLDER
def run_(
    task: str,
    seeds: int | None,
    first_seed: int,
    trials: int | None,
    methods: str | None,
    folder: Path,
) -> None:
    """Run what is missing."""
    known = [*SIZED[task].rivals, SEARCH] if task in SIZED else list(METHODS)
    unasked = known if task in SIZED else RIVALS
    names = list(unasked) if methods is None else methods.split(",")
    if unknown := set(names) - set(known):
        raise click.BadParameter(f"{', '.join(unknown)}; there is {', '.join(known)}", None, None,
                                 "--methods")  # fmt: skip
    for seed in range(first_seed, first_seed + (seeds or _seeds(task))):
        for name in names:
            path = folder / task / f"{name}-{seed}.json"
            if path.exists():
                continue
            if task in SIZED:
                sized = run_sized(name, task, seed, trials or STAGED_TRIALS)
                samples, wall_s, written = sized["samples"], sized["wall_s"], json.dumps(sized)
            else:
                found = run(name, task, trials or most_trials(name, task), seed)
                samples, wall_s = found[-1].samples, found[-1].wall_s
                written = json.dumps([asdict(network) for network in found])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(written)
            click.echo(f"{task} {name} seed {seed}: {samples:,} examples, {wall_s:.0f} s")


def _seeds(task: str) -> int:
    return 3 if task in SIZED else SETTINGS[task].seeds


@main.command("report")
@FOLDER
@click.option("--picture", type=Path, help="Draw the curves there.")
@click.option("--json", "json_", type=Path, help="Write the figures there, seed by seed.")
def report(folder: Path, picture: Path | None, json_: Path | None) -> None:
    """Compare what was run."""
    tasks = {task: runs for task in SETTINGS if (runs := _runs(folder / task))}
    sized = {task: folder / task for task in SIZED if any((folder / task).glob("*.json"))}
    if not tasks and not sized:
        raise click.ClickException(f"{folder}: nothing was run yet")
    tables = {task: lines(runs) for task, runs in tasks.items()}
    said = [markdown(task, table) for task, table in tables.items()]
    said += [sized_table(SIZED[task], path) for task, path in sized.items()]
    click.echo("\n\n".join(said))
    if json_ is not None:
        figures = {task: [asdict(line) for line in table] for task, table in tables.items()}
        json_.write_text(json.dumps(figures, indent=2) + "\n")
    if picture is not None:
        draw(tasks, picture)


def _runs(folder: Path) -> Runs:
    found: dict[str, dict[int, list[Network]]] = {method: {} for method in SHOWN}
    for path in sorted(folder.glob("*.json")):
        name, _, seed = path.stem.rpartition("-")
        found[name][int(seed)] = [Network(**each) for each in json.loads(path.read_text())]
    return {method: by_seed for method, by_seed in found.items() if by_seed}


if __name__ == "__main__":
    main()
