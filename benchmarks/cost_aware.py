"""What it is worth to divide scores by costs, where multiply-adds are what is to be saved.

    python -m benchmarks.cost_aware run --seeds 3
    python -m benchmarks.cost_aware run --seeds 1 --methods lamp,lamp_by_cost
    python -m benchmarks.cost_aware report

One textbook descent for each method: about a fifth of the multiply-adds that remain go each round,
two epochs of learning-rate rewinding after it, through 20 and 10 to 5 % of them. The small CNN of
``benchmarks.search`` on 5,000 Fashion-MNIST images; the last network of each level is read on the
test split, which no choice depends on. ``run`` keeps a file for each method and seed in
``--folder``; what is there is not run again. Two that share no seed can run at once.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import click
import torch
from torch import nn

from benchmarks.search.tasks import cnn
from study.pruning import PruningPlan, run_pipeline
from study.pruning.masking.masks import MaskedLayers
from study.records import RoundRecord
from study.tasks import Task, evaluate

LEVELS = {7: 0.20, 10: 0.10, 13: 0.05}
"""Share of the prunable multiply-adds that is left after a round: a fifth goes in each."""

METHODS: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform"},
    "global": {"allocation": "global"},
    "erk": {"allocation": "erk"},
    "lamp": {"allocation": "lamp"},
    "lamp_by_cost": {"allocation": "lamp", "cost_exponent": 0.5},
    "knapsack": {"allocation": "knapsack"},
}
"""Fields of the plan in which the methods differ."""

FOLDER = click.option("--folder", default="build/cost_aware", type=Path)


def fifths(round_: int, rounds: int, final_sparsity: float) -> float:
    """Sparsity at each round: the levels are met, and cuts between two of them are alike."""
    before, density = 0, 1.0
    for at, level in LEVELS.items():
        if round_ <= at:
            return 1.0 - density * (level / density) ** ((round_ - before) / (at - before))
        before, density = at, level
    raise ValueError(f"there are {before} rounds, not {round_}")


def plan_of(method: str, seed: int) -> PruningPlan:
    """One descent."""
    rounds = max(LEVELS)
    return PruningPlan(
        sparsity=1.0 - LEVELS[rounds],
        budget="macs",
        schedule="benchmarks.cost_aware:fifths",
        rounds=rounds,
        retrain="lr_rewind",
        retrain_epochs=2.0,
        seed=seed,
        **METHODS[method],
    )


def run(method: str, seed: int, task: Task | None = None) -> dict[str, Any]:
    """Descend once; what the networks at the levels do on the test split, and what it cost."""
    torch.set_num_threads(1)
    task = task or cnn()
    kept = _Kept()
    began = time.perf_counter()
    records = list(run_pipeline(plan_of(method, seed), task, observer=kept))
    wall_s, test = time.perf_counter() - began, task.data.load_test()
    return {
        "levels": [
            {
                "asked": level,
                "macs": records[round_].macs / records[round_].dense_macs,
                "density": records[round_].density,
                "val_accuracy": records[round_].val_accuracy,
                "test_accuracy": evaluate(kept.models[round_], test, task).metrics["accuracy"],
            }
            for round_, level in LEVELS.items()
        ],
        "train_samples": records[-1].train_samples,
        "wall_s": wall_s,
    }


class _Kept:
    """Copies of the networks at the levels, by round."""

    def __init__(self) -> None:
        self.models: dict[int, nn.Module] = {}

    def checkpoint(self, progress: Callable[[], object]) -> None:
        """Nothing of it is kept."""

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], object]
    ) -> None:
        """Keep a copy, at a level."""
        if record.round in LEVELS:
            self.models[record.round] = copy.deepcopy(masked.model)


def table(folder: Path) -> str:
    """Test accuracy in percent by method, over the seeds that were run."""
    levels = [f"{level:.0%}" for level in LEVELS.values()]
    lines = [f"| method | seeds | {' | '.join(levels)} | mean | its sd |", "|---" * 7 + "|"]
    for method in METHODS:
        runs = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{method}-[0-9]*"))]
        if not runs:
            continue
        found = [[100 * each["test_accuracy"] for each in one["levels"]] for one in runs]
        means = [fmean(one) for one in found]
        columns = [f"{fmean(at):.1f}" for at in zip(*found, strict=True)]
        spread = f"{stdev(means):.2f}" if len(means) > 1 else "-"
        lines.append(
            f"| {method} | {len(runs)} | {' | '.join(columns)} | {fmean(means):.1f} | {spread} |"
        )
    return "\n".join(lines)


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Run or report the comparison."""


@main.command("run")
@click.option("--seeds", default=3, help="How many.")
@click.option("--first-seed", default=0, help="Where they begin.")
@click.option("--methods", default=",".join(METHODS), help="Which, with commas between.")
@FOLDER
def run_(seeds: int, first_seed: int, methods: str, folder: Path) -> None:
    """Run what is missing."""
    unknown = set(methods.split(",")) - set(METHODS)
    if unknown:
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}; there is {', '.join(METHODS)}", param_hint="--methods"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + seeds):
        for method in methods.split(","):
            path = folder / f"{method}-{seed}.json"
            if path.exists():
                continue
            found = run(method, seed)
            path.write_text(json.dumps(found, indent=1) + "\n")
            accuracies = ", ".join(f"{each['test_accuracy']:.4f}" for each in found["levels"])
            click.echo(f"{method} seed {seed}: {accuracies}; {found['wall_s']:.0f} s")


@main.command("report")
@FOLDER
def report(folder: Path) -> None:
    """Compare what was run."""
    if not any(folder.glob("*.json")):
        raise click.ClickException(f"{folder}: nothing was run yet")
    click.echo(table(folder))


if __name__ == "__main__":
    main()
