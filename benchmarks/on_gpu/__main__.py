"""What only a GPU can show, checked and measured by one command in under ten minutes.

    python -m benchmarks.on_gpu                   everything
    python -m benchmarks.on_gpu amp graphs        some
    python -m benchmarks.on_gpu --device cpu      the same code at tiny sizes

Each check runs in a process of its own, with a time limit, and ends as passed, failed or not
available. The table goes to stdout and is made for ``docs/speed.md``. Exit codes: 0 nothing failed,
1 something did, 4 there is no GPU.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click
import torch

from benchmarks.on_gpu.checks import CHECKS
from benchmarks.on_gpu.processes import run
from benchmarks.on_gpu.report import as_json, markdown

NO_GPU = 4


@click.command(help=__doc__.partition("\n")[0])
@click.argument("names", nargs=-1, type=click.Choice(list(CHECKS)))
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--folder", type=Path, default=Path("build/on_gpu"), show_default=True)
def main(names: tuple[str, ...], device: str, folder: Path) -> None:
    """Run the checks that are named, or all, and write on_gpu.json and on_gpu.md."""
    if device == "cuda" and not torch.cuda.is_available():
        click.echo("on_gpu: torch finds no GPU here, so nothing was checked.", err=True)
        sys.exit(NO_GPU)
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for name in dict.fromkeys(names or CHECKS):
        click.echo(f"{name} (up to {CHECKS[name].limit_s:g} s): {CHECKS[name].what}", err=True)
        results.append(run(name, device))
        result = results[-1]
        click.echo(f"  {result.outcome} after {result.wall_s:.0f} s {result.error}", err=True)
        # After each: what is cut off has not measured for nothing.
        (folder / "on_gpu.json").write_text(json.dumps(as_json(results, device), indent=2) + "\n")
        (folder / "on_gpu.md").write_text(markdown(results, device))
    click.echo(markdown(results, device), nl=False)
    sys.exit(any(result.outcome == "failed" for result in results))


if __name__ == "__main__":
    main()
