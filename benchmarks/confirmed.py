"""Do the networks that a report names hold on new seeds, and on data that nobody looked at?

    python -m benchmarks.confirmed run --task digits --studies 5
    python -m benchmarks.confirmed report

Whole studies, each with another seed, end with the networks that their reports name. Then each of
these is trained again on twenty fresh seeds, which neither searched nor confirmed, and judged on
the test split: a label is true where the mean drop there is within what it says. Beside it, the
card without confirmation: the smallest network within a tolerance on the seed and data that chose
it, which is what a search alone would name. One JSON file a study; what is there is not run again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

TASKS: dict[str, dict[str, Any]] = {
    "digits": {"preset": "digits-mlp"},
    "mnist5k": {"preset": "mnist5k-lenet300", "set": ["study.num_samples=32"]},
    "fashion": {
        "preset": "fashion-lenet300",
        "set": ["study.num_samples=32", 'task={object="benchmarks.search.tasks:fashion"}'],
    },
}
"""The studies: a preset, and what is changed to keep it short."""

FRESH = 20
FIRST_FRESH_SEED = 1000


@click.group()
def main() -> None:
    """Run or report the check."""


@main.command("run")
@click.option("--task", type=click.Choice(list(TASKS)), default="digits")
@click.option("--studies", default=5)
@click.option("--fresh", default=FRESH)
@click.option("--folder", default="benchmarks/results/confirmed", type=Path)
def run_(task: str, studies: int, fresh: int, folder: Path) -> None:
    """Run what is missing."""
    for seed in range(studies):
        path = folder / f"{task}-{seed}.json"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        found = one_study(task, seed, fresh)
        path.write_text(json.dumps(found, indent=2))
        click.echo(f"{task} seed {seed}: {len(found['named'])} named, {len(found['cards'])} cards")


def one_study(task: str, seed: int, fresh: int) -> dict[str, Any]:
    """Run a study with its confirmation, and then its networks on fresh seeds."""
    import analysis
    import study
    from study.configuration.loading import load_config

    chosen = TASKS[task]
    config = load_config(chosen["preset"], chosen.get("set", ()))
    scratch = Path(tempfile.mkdtemp(prefix="confirmed-"))
    try:
        place = study.run(config, name="searched", storage_path=scratch, seed=seed)
        results = analysis.load(place)
        named = analysis.named_networks(results).dropna(subset=["trial_id"])
        cards = analysis.smallest_within(
            _searched(results), named["tolerated_drop"].tolist() or [0.01]
        ).dropna(subset=["trial_id"])
        pairs = [*zip(named["trial_id"], named["round"], strict=True),
                 *zip(cards["trial_id"], cards["round"], strict=True)]  # fmt: skip
        truth = true_drops(Path(place), [(str(t), int(r)) for t, r in pairs], fresh)
        cost = analysis.cost_summary(results)
        of_search = analysis.cost_summary(_searched(results))
        columns = ["tolerated_drop", "trial_id", "round", "density"]
        return {
            "task": task,
            "seed": seed,
            "spent": cost["spent_train_samples"],
            "spent_by_search": of_search["spent_train_samples"],
            "named": [
                {**row, "true_drop": truth[row["trial_id"], int(row["round"])]}
                for row in named[[*columns, "n", "examples", "drop_bound"]].to_dict("records")
            ],
            "cards": [
                {**row, "true_drop": truth[row["trial_id"], int(row["round"])]}
                for row in cards[columns].to_dict("records")
            ],
        }
    finally:
        shutil.rmtree(scratch)


def true_drops(
    place: Path, networks: list[tuple[str, int]], fresh: int
) -> dict[tuple[str, int], float]:
    """Mean drop on the test split over fresh seeds, of each network."""
    import analysis
    from study.configuration.loading import load_config
    from study.storage import Folder
    from study.tuning.afterwards.held_out import read_test
    from study.tuning.afterwards.points import find_point
    from study.tuning.afterwards.replicating import replicate

    copy = place.parent / "fresh"
    shutil.copytree(place, copy)
    shutil.rmtree(copy / "ray", ignore_errors=True)
    folder, seeds = Folder(str(copy)), range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + fresh)
    last: dict[str, int] = {}
    for trial_id, round_ in networks:
        last[trial_id] = max(round_, last.get(trial_id, 0))
    reads = []
    for trial_id, round_ in last.items():
        point = find_point(folder, trial_id, round_)
        replicate(folder, point, seeds, lambda _: None, controls=False)
        rounds = {0, *(r for t, r in networks if t == trial_id)}
        names = [f"{trial_id}-round-{round_}-seed-{seed}" for seed in seeds]
        reads += [(name, each) for name in names for each in sorted(rounds)]
    import tomllib

    config = load_config(tomllib.loads((copy / "study.toml").read_text()))
    read_test(folder, config, reads)
    results = analysis.load(str(copy))
    quality = results.quality
    test = results.held_out.set_index(["trial_id", "round"])[quality.test_column]
    found = {}
    for trial_id, round_ in networks:
        names = [f"{trial_id}-round-{last[trial_id]}-seed-{seed}" for seed in seeds]
        drops = [quality.drop(test[name, 0], test[name, round_]) for name in names]
        found[trial_id, round_] = float(np.mean(drops))
    return found


def _searched(results: Any) -> Any:
    from analysis.statistics.replicates import searched

    return searched(results)


@main.command("report")
@click.option("--folder", default="benchmarks/results/confirmed", type=Path)
def report(folder: Path) -> None:
    """The share of labels that are true, with and without confirmation, and what it cost."""
    studies = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    rows = []
    for task in dict.fromkeys(study["task"] for study in studies):
        own = [study for study in studies if study["task"] == task]
        named = [row for study in own for row in study["named"]]
        cards = [row for study in own for row in study["cards"]]
        rows.append({
            "task": task,
            "studies": len(own),
            "named": len(named),
            "true": np.mean([r["true_drop"] <= r["drop_bound"] for r in named]),
            "bound": np.median([r["drop_bound"] for r in named]),
            "true drop": np.median([r["true_drop"] for r in named]),
            "density": np.median([r["density"] for r in named]),
            "unconfirmed": len(cards),
            "of these true": np.mean([r["true_drop"] <= r["tolerated_drop"] for r in cards]),
            "their density": np.median([r["density"] for r in cards]),
            "cost beside search": np.median([s["spent"] / s["spent_by_search"] - 1 for s in own]),
        })  # fmt: skip
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
