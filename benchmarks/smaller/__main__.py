"""Channels by this project beside Torch-Pruning alone and uniform cuts, at equal multiply-adds.

    python -m benchmarks.smaller run --task lenet5
    python -m benchmarks.smaller speed --task lenet5
    python -m benchmarks.smaller report

``run`` keeps a JSON file for each task, method and seed, and each network as ONNX; what is there is
not run again. All methods of a seed begin with one dense run and see as many training examples.
``speed`` times those networks beside the dense one. ``report`` prints the accuracy on test data at
each share of the multiply-adds, over the seeds, the size of the files, and how much faster each
network is, over what its multiply-adds promise.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click
import pandas as pd
import torch
from torch import nn

from benchmarks.smaller.fastnas import fastnas
from benchmarks.smaller.methods import METHODS, dense_model, methods_of, plan_of
from benchmarks.smaller.speeds import speedups
from benchmarks.smaller.tasks import MODELS, task_of
from study.exporting.capturing import capture
from study.exporting.onnx_files import to_onnx
from study.pruning import train_dense
from study.tasks import Task

SPEEDS = "speeds"
"""The folder of what was timed, in the comparison's."""

FOLDER = click.option("--folder", default="build/smaller", type=Path)


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--task", type=click.Choice(list(MODELS)), default="lenet5")
@click.option("--seeds", default=3)
@click.option("--first-seed", default=0)
@click.option("--methods", default="", help="Which, with commas between; else all.")
@FOLDER
def run_(task: str, seeds: int, first_seed: int, methods: str, folder: Path) -> None:
    """Run what is missing."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    loaded, names = task_of(task), methods.split(",") if methods else methods_of(task)
    for seed in range(first_seed, first_seed + seeds):
        paths = {name: folder / f"{task}-{name}-{seed}.json" for name in names}
        missing = {name: path for name, path in paths.items() if not path.exists()}
        if not missing:
            continue
        dense = train_dense(loaded, plan_of("uniform", loaded, seed).seeds)
        _write(folder / f"{task}-dense.onnx", loaded, dense_model(loaded, dense))
        for name, path in missing.items():
            began, found = time.perf_counter(), []
            for narrow, model in {**METHODS, "fastnas": fastnas}[name](name, loaded, dense, seed):
                file = path.with_name(f"{path.stem}-{narrow.target}.onnx")
                _write(file, loaded, model)
                found.append({**asdict(narrow), "kib": file.stat().st_size / 1024})
            path.write_text(json.dumps(found, indent=1))
            click.echo(
                f"{task} {name} seed {seed}: "
                + ", ".join(f"{each['macs']:.3f}: {each['test']:.4f}" for each in found)
                + f" ({time.perf_counter() - began:.0f} s)"
            )


def _write(path: Path, task: Task, model: nn.Module) -> None:
    path.write_bytes(to_onnx(capture(task, copy.deepcopy(model).cpu().eval()), {}))


@main.command("speed")
@click.option("--task", type=click.Choice(list(MODELS)), default="lenet5")
@click.option("--batch-size", default=1)
@FOLDER
def speed(task: str, batch_size: int, folder: Path) -> None:
    """Time the networks of the first seed. Nothing else may run beside it."""
    networks = {path.stem: path for path in sorted(folder.glob(f"{task}-*-0-*.onnx"))}
    if not networks:
        raise click.ClickException(f"{folder}: nothing of {task} was run yet")
    found = speedups(folder / f"{task}-dense.onnx", networks, batch_size)
    (folder / SPEEDS).mkdir(exist_ok=True)
    (folder / SPEEDS / f"{task}-{batch_size}.json").write_text(json.dumps(found, indent=1))
    click.echo(
        "\n".join(f"{name}: {times:.2f} x as fast as dense" for name, times in found.items())
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
        kib = own.pivot_table(index="method", columns="target", values="kib")
        dense_kib = (folder / f"{task}-dense.onnx").stat().st_size / 1024
        click.echo(f"\nKiB of the ONNX file, mean (dense: {dense_kib:.0f})")
        click.echo(kib.round(0).to_string())
        for path in sorted((folder / SPEEDS).glob(f"{task}-*.json")):
            _tell_speeds(own, json.loads(path.read_text()), path.stem.rpartition("-")[2])


def _tell_speeds(own: pd.DataFrame, found: dict[str, float], batch_size: str) -> None:
    """Speedups measured, and as a share of those that multiply-adds promise."""
    first = own[own["seed"] == 0]
    names = first["task"] + "-" + first["method"] + "-0-" + first["target"].astype(str)
    measured = names.map(found)
    for title, values in (
        ("times as fast as dense", measured),
        ("of the speedup that multiply-adds promise", measured * first["macs"]),
    ):
        table = first.assign(value=values).pivot_table("value", "method", "target")
        click.echo(f"\n{title}, batches of {batch_size}\n{table.round(2).to_string()}")


if __name__ == "__main__":
    main()
