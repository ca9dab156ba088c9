"""All benchmarks, as one table of ratios and times.

    python -m benchmarks                       everything, about twenty minutes
    python -m benchmarks masked_step growth    some
    python -m benchmarks --quick               fewer repeats, for a look

What has a study to run starts Ray. Ratios are made within a run, from interleaved turns; times in
milliseconds are of this machine.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click

from benchmarks.measuring import Figure

BENCHMARKS = {
    "masked_step": "what masks cost in a training step",
    "narrow_step": "a step without channels, against the small network built by hand",
    "training_throughput": "examples a second, against the usual loop",
    "streamed_data": "data four times the memory limit, against a plain DataLoader loop",
    "packed_trials": "several small networks in one program",
    "skipped_work": "steps that leave pruned weights out, against whole ones",
    "sparse_products": "sparse matrices against dense ones with zeros",
    "trajectory_savings": "what sharing dense runs saves",
    "early_stopping": "what stopping hopeless trials saves",
    "sensitivity_scan": "evaluating only what comes after a layer",
    "resume_time": "how long going on takes",
    "appending": "a further line of a long file, on a disk and behind an S3-compatible server",
    "trial_overhead": "what Ray, Optuna and the records add to a trial",
    "worker_scaling": "two workers against one",
    "simulated_cluster": "results a second from 64 workers that sleep",
    "searcher_latency": "drawing the next plan",
    "latency_of_zeros": "what zeros and missing channels do for latency",
    "latency_prediction": "what a network takes, by its layers",
    "latency_steadiness": "latency beside other work, and in a quiet phase",
}


@click.command(help=__doc__.partition("\n")[0])
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS, "growth"]))
@click.option("--quick", is_flag=True, help="Fewer repeats.")
@click.option("--json", "json_", type=Path, default=Path("benchmarks/results.json"))
@click.option("--pictures", type=Path, default=Path("benchmarks/figures"))
def main(names: tuple[str, ...], quick: bool, json_: Path, pictures: Path) -> None:
    """Run the benchmarks that are named, or all."""
    found: dict[str, list[dict[str, object]]] = {}
    click.echo(f"{'':62}{'median':>9}   quartiles          unit")
    for name in names or [*BENCHMARKS, "growth"]:
        if name == "growth":
            continue
        click.echo(f"{name}: {BENCHMARKS[name]}")
        began = time.perf_counter()
        figures: list[Figure] = import_module(f"benchmarks.{name}").measure(quick)
        for figure in figures:
            click.echo(_line(figure))
        click.echo(f"  ({time.perf_counter() - began:.0f} s)")
        found[name] = [asdict(figure) for figure in figures]
    if not names or "growth" in names:
        from benchmarks.growth import draw

        click.echo(f"growth: {draw(pictures, quick)}")
    if found:
        machine = {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()}
        json_.parent.mkdir(parents=True, exist_ok=True)
        json_.write_text(json.dumps({"machine": machine, "figures": found}, indent=2) + "\n")
        click.echo(f"written: {json_}")


def _line(figure: Figure) -> str:
    verdict = {None: "", True: f"goal {figure.goal}: met", False: f"goal {figure.goal}: missed"}
    spread = f"{figure.low:.3g} to {figure.high:.3g}"
    return (
        f"  {figure.case:60}{figure.median:>9.3g}   {spread:<18} {figure.unit:<22} "
        f"{verdict[figure.meets_goal]}"
    ).rstrip()


if __name__ == "__main__":
    main()
