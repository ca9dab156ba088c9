"""One million rounds in 10,000 trials: load, front and hypervolume history.

    python benchmarks/analysis_scale.py [--trials 10000] [--rounds 100] [--layers 3] [--folder DIR]

Beside it, on the same rounds: the naive way (a JSON document a line into pandas, then a front by
sorting; hypervolume anew after each thousandth round), and Optuna's own Pareto front.
Each way runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = 3
WAYS = ("first", "again", "layers", "naive", "optuna")
WHAT = {
    "first": "analysis.load for the first time (it leaves a cache), front, hypervolume history",
    "again": "the same, loading from the cache",
    "layers": "the first use of results.layers",
    "naive": "json.loads a line into pandas, front by cummax, hypervolume every 1000th round",
    "optuna": "Optuna's best_trials of an in-memory study, 10,000 of the rounds only",
}


def write_study(folder: Path, trials: int, rounds: int, layers: int) -> int:
    """Write a study of that size with curves that fall; its size in bytes."""
    import numpy as np

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text('[study]\nname = "scale"\n[task]\nepochs = 10\n')
    plan = {"allocation": "global", "schedule": "geometric", "seed": 0}
    size = 0
    for number in range(trials):
        trial = f"{number:05d}"
        path = folder / "trials" / trial
        path.mkdir(parents=True)
        final = float(rng.uniform(0.003, 0.5))
        retrain = ("finetune", "lr_rewind", "weight_rewind")[number % 3]
        document = {**plan, "sparsity": 1 - final, "rounds": rounds - 1, "retrain": retrain}
        (path / "plan.json").write_text(json.dumps(document))
        density = final ** (np.arange(rounds) / max(rounds - 1, 1))
        noise = rng.normal(0, 0.004, rounds)
        accuracy = 0.98 - 0.01 * np.log2(1 / density) ** 1.4 + noise * (density < 1)
        lines = []
        for k in range(rounds):
            kept = round(266_200 * density[k])
            minutes, seconds = divmod(number * 7 + k * 41, 60)
            hours, minutes = divmod(minutes, 60)
            days, hours = divmod(hours, 24)
            record = {
                "schema_version": 1, "trial_id": trial, "round": k,
                "requested_sparsity": 1 - density[k], "sparsity": 1 - kept / 266_200,
                "density": kept / 266_200, "prunable_parameters": 266_200,
                "nonzero_parameters": kept + 410, "total_parameters": 266_610,
                "compression_ratio": 266_610 / (kept + 410), "macs": float(kept),
                "dense_macs": 266_200.0, "theoretical_speedup": 266_200 / max(kept, 1),
                "val_accuracy": float(accuracy[k]), "val_loss": float(1 - accuracy[k]),
                "train_loss": 0.1, "test_accuracy": None, "train_epochs": 10.0 + 2 * k,
                "train_samples": 50_000 + 10_000 * k, "wall_s": 3.0 + 0.6 * k,
                "mask_hash": f"{number * rounds + k:016x}", "seed": 0, "collapsed_layers": [],
                "uncounted": [],
                "layers": [
                    {"layer": f"fc{n}", "kept": kept // layers, "total": 266_200 // layers,
                     "density": kept / 266_200, "requested_sparsity": 1 - density[k],
                     "dead_outputs": 0, "outputs": 100, "macs": 266_200.0 / layers}
                    for n in range(layers)
                ],
                "finished_at": f"2026-03-{days + 1:02d}T{hours:02d}:{minutes:02d}:"
                f"{seconds:02d}.000+00:00",
            }  # fmt: skip
            lines.append(json.dumps(record, separators=(",", ":")))
        text = "\n".join(lines) + "\n"
        (path / "rounds.jsonl").write_text(text)
        size += len(text)
        outcome = {
            "schema_version": 1, "trial_id": trial, "status": "completed", "stop_reason": None,
            "error": None, "traceback": None, "rounds_planned": rounds - 1,
            "rounds_finished": rounds - 1, "started_at": "2026-03-01T00:00:00.000+00:00",
            "finished_at": "2026-03-02T00:00:00.000+00:00",
        }  # fmt: skip
        (path / "outcome.json").write_text(json.dumps(outcome))
    old = time.time() - 60
    for path in (folder / "trials").iterdir():
        os.utime(path / "rounds.jsonl", (old, old))
    return size


def ours(folder: Path) -> dict[str, float]:
    import analysis

    clock = _Clock()
    results = analysis.load(folder)
    clock.lap("load")
    front = analysis.pareto_front(results.rounds)
    clock.lap("front")
    history = analysis.hypervolume_history(results)
    clock.lap("history")
    return clock.laps | {
        "rounds": len(results.rounds),
        "on front": len(front),
        "hypervolume": history["hypervolume"].iloc[-1],
    }


def layers(folder: Path) -> dict[str, float]:
    import analysis

    results = analysis.load(folder)
    clock = _Clock()
    rows = len(results.layers)
    clock.lap("layers")
    return clock.laps | {"rows": rows}


def naive(folder: Path) -> dict[str, float]:
    import numpy as np
    import pandas as pd

    from study.volume import Axis, Volume

    clock = _Clock()
    rows = [
        json.loads(line)
        for path in sorted(folder.glob("trials/*/rounds.jsonl"))
        for line in path.read_text().splitlines()
    ]
    rounds = pd.DataFrame(rows)
    clock.lap("load")
    ordered = rounds.sort_values(["density", "val_accuracy"], ascending=[True, False])
    best = ordered["val_accuracy"].cummax()
    front = ordered[ordered["val_accuracy"] > best.shift(fill_value=-np.inf)]
    clock.lap("front")
    dense = float(rounds.loc[rounds["round"] == 0, "val_accuracy"].mean())
    box = Volume(
        (
            Axis("val_accuracy", dense - min(0.1, 5 * (1 - dense)), 1.0, False),
            Axis("density", 1.0, 0.01, True),
        )
    )
    columns = ["val_accuracy", "density"]
    points = rounds.sort_values("finished_at", kind="stable")[columns].to_numpy(float)
    volume = 0.0
    for end in range(1000, len(points) + 1, 1000):
        volume = box.of(points[:end])
    clock.lap("history")
    return clock.laps | {"rounds": len(rounds), "on front": len(front), "hypervolume": volume}


def optuna_front(folder: Path) -> dict[str, float]:
    import optuna

    import analysis

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rounds = analysis.load(folder).rounds.head(10_000)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials(
        [
            optuna.create_trial(values=[accuracy, density], params={}, distributions={})
            for accuracy, density in zip(rounds["val_accuracy"], rounds["density"], strict=True)
        ]
    )
    clock = _Clock()
    front = study.best_trials
    clock.lap("front")
    return clock.laps | {"rounds": len(rounds), "on front": len(front)}


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[f"{name}_s"] = round(now - self._last, 2)
        self._last = now


def _measure(way: str, folder: Path) -> None:
    began = time.perf_counter()
    if way == "first":
        shutil.rmtree(folder / "analysis_cache", ignore_errors=True)
    calls = {"first": ours, "again": ours, "layers": layers, "naive": naive, "optuna": optuna_front}
    cpu = time.process_time()
    figures = calls[way](folder)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    total = time.perf_counter() - began
    used = {"total_s": total, "cpu_s": time.process_time() - cpu, "peak_gb": peak_gb}
    print(json.dumps(figures | {name: round(value, 2) for name, value in used.items()}))


def main() -> None:
    """Write a study, and measure every way of reading it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--folder", type=Path, help="keep the study here, or use the one there")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        _measure(options.measure, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "scale"
        if not (folder / "study.toml").exists():
            size = write_study(folder, options.trials, options.rounds, options.layers)
            print(f"{options.trials * options.rounds:,} rounds, {size / 1e9:.2f} GB of JSON lines")
        for way in options.ways:
            command = [sys.executable, __file__, "--measure", way, "--folder", str(folder)]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{WHAT[way]}:\n    {shown.strip()}")


if __name__ == "__main__":
    main()
