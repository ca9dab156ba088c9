"""This project's search against the study that a competent user writes with Ray and Optuna.

    python -m benchmarks.search_vs_naive run --task mnist5k --seeds 5 --trials 40
    python -m benchmarks.search_vs_naive report --task mnist5k

``run`` goes seed by seed through the methods and keeps the points of each in ``--folder``; what is
there is not run again. ``report`` compares hypervolumes over training examples and wall time.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.search_curves import draw, table
from benchmarks.search_methods import methods, run

ABLATION = [name for name in methods() if name.startswith(("only-", "without-"))]


@click.group()
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--task", type=click.Choice(["mnist5k", "fashion"]), default="mnist5k")
@click.option("--seeds", default=5)
@click.option("--trials", default=40)
@click.option(
    "--methods", "names", default="naive,ours,all-levers,no-lever,naive-random,ours-random,sweep"
)
@click.option("--folder", default="benchmarks/search-results", type=Path)
def run_(task: str, seeds: int, trials: int, names: str, folder: Path) -> None:
    """Run what is missing."""
    chosen = ABLATION if names == "ablation" else names.split(",")
    for seed in range(seeds):
        for name in chosen:
            path = folder / task / f"{name}-{seed}.json"
            if path.exists():
                continue
            points = run(name, task, trials, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(points))
            last = points[-1]
            click.echo(
                f"{task} {name} seed {seed}: {len(points)} points, {last['samples']:,.0f} "
                f"examples, {last['wall_s']:.0f} s"
            )


@main.command("report")
@click.option("--task", type=click.Choice(["mnist5k", "fashion"]), default="mnist5k")
@click.option("--folder", default="benchmarks/search-results", type=Path)
@click.option("--picture", type=Path, help="Draw the curves there.")
@click.option("--json", "json_", type=Path, help="Write the figures there.")
def report(task: str, folder: Path, picture: Path | None, json_: Path | None) -> None:
    """Compare what was run."""
    studies: dict[str, dict[int, list[dict[str, float]]]] = {}
    for path in sorted((folder / task).glob("*.json")):
        name, _, seed = path.stem.rpartition("-")
        studies.setdefault(name, {})[int(seed)] = json.loads(path.read_text())
    found = table(studies)
    click.echo(found.to_string(index=False, float_format="{:.3g}".format))
    if json_ is not None:
        json_.write_text(found.to_json(orient="records", indent=2))
    if picture is not None:
        draw(studies, picture, task)


if __name__ == "__main__":
    main()
