"""Channels by this project beside Torch-Pruning alone and uniform cuts, at equal multiply-adds.

    python -m benchmarks.smaller run --task lenet5
    python -m benchmarks.smaller report

``run`` keeps a JSON file for each task, method and seed; what is there is not run again. All
methods of a seed begin with one dense run and see as many training examples. ``report`` prints
the accuracy on test data at each share of the multiply-adds, over the seeds.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click
import pandas as pd
import torch

from benchmarks.smaller.methods import METHODS, plan_of
from benchmarks.smaller.tasks import MODELS, task_of
from study.pruning import train_dense

FOLDER = click.option("--folder", default="build/smaller", type=Path)


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--task", type=click.Choice(list(MODELS)), default="lenet5")
@click.option("--seeds", default=3)
@click.option("--first-seed", default=0)
@click.option("--methods", default=",".join(METHODS), help="Which, with commas between.")
@FOLDER
def run_(task: str, seeds: int, first_seed: int, methods: str, folder: Path) -> None:
    """Run what is missing."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    loaded = task_of(task)
    for seed in range(first_seed, first_seed + seeds):
        paths = {name: folder / f"{task}-{name}-{seed}.json" for name in methods.split(",")}
        missing = {name: path for name, path in paths.items() if not path.exists()}
        dense = train_dense(loaded, plan_of("uniform", seed).seeds) if missing else None
        for name, path in missing.items():
            assert dense is not None
            began = time.perf_counter()
            found = [asdict(narrow) for narrow, _ in METHODS[name](name, loaded, dense, seed)]
            path.write_text(json.dumps(found, indent=1))
            click.echo(
                f"{task} {name} seed {seed}: "
                + ", ".join(f"{each['macs']:.3f}: {each['test']:.4f}" for each in found)
                + f" ({time.perf_counter() - began:.0f} s)"
            )


@main.command("report")
@FOLDER
def report(folder: Path) -> None:
    """Test accuracy at each share of the multiply-adds: mean and, over seeds, its deviation."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        task, name, seed = path.stem.split("-")
        rows += [
            {"task": task, "method": name, "seed": int(seed), **each}
            for each in json.loads(path.read_text())
        ]
    if not rows:
        raise click.ClickException(f"{folder}: nothing was run yet")
    frame = pd.DataFrame(rows)
    for task, own in frame.groupby("task", sort=False):
        click.echo(f"\n{task}: test accuracy in percent at a share of the multiply-adds")
        table = own.pivot_table(
            index="method", columns="target", values="test", aggfunc=["mean", "std"]
        )
        click.echo((100 * table).round(2).to_string())


if __name__ == "__main__":
    main()
