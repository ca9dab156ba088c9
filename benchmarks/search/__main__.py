"""What the search saves, against what a person would do without it.

    python -m benchmarks.search run --task mnist5k
    python -m benchmarks.search run --task cnn --seeds 1 --methods textbook,naive
    python -m benchmarks.search report --picture docs/rivals.png

``run`` goes seed by seed through the methods and keeps what each found in ``--folder``, a file for
each task, method and seed; what is there is not run again. Two that share no seed can run at once.
``report`` prints the table: test volumes of the networks that validation chose, at their cost.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click

from benchmarks.search.methods import METHODS, run
from benchmarks.search.report import SHOWN, Runs, draw, lines, markdown
from benchmarks.search.tasks import SETTINGS
from benchmarks.search.volumes import Network

FOLDER = click.option("--folder", default="build/search", type=Path)


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--task", type=click.Choice(list(SETTINGS)), default="mnist5k")
@click.option("--seeds", type=int, help="How many; unset: 5, and 2 for the CNN.")
@click.option("--first-seed", default=0, help="Where they begin.")
@click.option("--trials", type=int, help="Of the two studies; unset: 24, and 8 for the CNN.")
@click.option("--methods", "names", default=",".join(METHODS), help="Which, with commas between.")
@FOLDER
def run_(
    task: str, seeds: int | None, first_seed: int, trials: int | None, names: str, folder: Path
) -> None:
    """Run what is missing."""
    chosen, setting = names.split(","), SETTINGS[task]
    unknown = set(chosen) - set(METHODS)
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; there is {', '.join(METHODS)}", None, None,
                                 "--methods")  # fmt: skip
    for seed in range(first_seed, first_seed + (seeds or setting.seeds)):
        for name in chosen:
            path = folder / task / f"{name}-{seed}.json"
            if path.exists():
                continue
            found = run(name, task, trials or setting.trials, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([asdict(network) for network in found]))
            last = found[-1]
            click.echo(
                f"{task} {name} seed {seed}: {len(found)} networks, "
                f"{last.samples:,} examples, {last.wall_s:.0f} s"
            )


@main.command("report")
@FOLDER
@click.option("--picture", type=Path, help="Draw the curves there.")
@click.option("--json", "json_", type=Path, help="Write the figures there, seed by seed.")
def report(folder: Path, picture: Path | None, json_: Path | None) -> None:
    """Compare what was run."""
    tasks = {task: runs for task in SETTINGS if (runs := _runs(folder / task))}
    if not tasks:
        raise click.ClickException(f"{folder}: nothing was run yet")
    tables = {task: lines(runs) for task, runs in tasks.items()}
    click.echo("\n\n".join(markdown(task, table) for task, table in tables.items()))
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
