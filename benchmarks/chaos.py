"""A study whose processes are killed again and again, against the same study left alone.

    python -m benchmarks.chaos --kills 100

Driver, workers, raylet and Ray's server are killed (SIGKILL) at random moments of a real study,
which is resumed until it is done, and begun anew until there were as many kills. Its records must
be those of the unkilled study, and no finished round may be lost or run again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

STUDY = """
[study]
name = "study"
num_samples = 6
[task]
dataset = "digits"
model = "mlp"
epochs = 20
batch_size = 16
[task.model_options]
widths = [24, 16]
[space]
rounds = [2, 4]
retrain_epochs = [4, 8]
rewind_epoch = [0, 1]
[search]
textbook = false
[sensitivity]
scan = true
levels = [0.5, 0.9]
[confirm]
share = 0
[resources]
max_concurrent = 1
checkpoint_interval_s = 0.05
"""

TIMES = ("wall_s", "finished_at", "latency_ms", "latency_spread_ms", "dense_latency_ms",
         "predicted_latency_ms", "speedup_measured")  # fmt: skip
"""What two runs of the same thing may differ in."""

ROLES = ("driver", "worker", "raylet", "gcs_server")


@dataclass
class Tally:
    """What went wrong, in all studies."""

    kills: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    studies: int = 0
    rounds_lost: int = 0
    rounds_run_twice: int = 0
    records_that_differ: int = 0
    left_behind: int = 0
    wall_s: float = 0.0


@click.command(help=__doc__.partition("\n")[0])
@click.option("--kills", default=100)
@click.option("--seed", default=0)
@click.option("--longest-s", default=15.0, help="Before a kill; the moment is drawn evenly.")
@click.option("--folder", default="build/chaos", type=Path)
def main(kills: int, seed: int, longest_s: float, folder: Path) -> None:
    """Kill, resume, compare."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    began = time.perf_counter()
    if _life(["run", "study.toml", "--storage-path", "whole"], folder).wait() != 0:
        raise click.ClickException("the study that was left alone failed")
    alone_s = time.perf_counter() - began
    expected, tally, chance = records(folder / "whole" / "study"), Tally(), random.Random(seed)
    while tally.kills.total() < kills:
        _one_study(folder, tally, chance, kills, longest_s, expected)
        click.echo(f"{tally}")
    click.echo(
        f"{tally.kills.total()} kills ({dict(tally.kills)}) in {tally.studies} studies, "
        f"{tally.lives} lives; rounds lost {tally.rounds_lost}, run twice "
        f"{tally.rounds_run_twice}, records that differ {tally.records_that_differ}, processes "
        f"left behind {tally.left_behind}; {tally.wall_s / tally.studies:.0f} s a study, "
        f"{alone_s:.0f} s left alone"
    )


def _one_study(
    folder: Path,
    tally: Tally,
    chance: random.Random,
    kills: int,
    longest_s: float,
    expected: dict[str, list[dict[str, object]]],
) -> None:
    """Run a study to its end, however often it is killed."""
    place = folder / f"killed-{tally.studies}"
    began, seen = time.perf_counter(), dict[str, str]()
    command = ["run", "study.toml", "--storage-path", place.name]
    while True:
        process = _life(command, folder)
        tally.lives += 1
        role = chance.choice(ROLES) if tally.kills.total() < kills else None
        if role is not None:
            _kill_later(process, role, chance.uniform(0.0, longest_s), tally)
        code = process.wait()
        study = place / "study"
        found = finished_rounds(study)
        tally.rounds_lost += sum(each not in found for each in seen)
        tally.rounds_run_twice += sum(found.get(each, at) != at for each, at in seen.items())
        seen = found
        if code == 0:
            break
        if study.joinpath("study.toml").exists():
            command = ["resume", str(study.relative_to(folder))]
    tally.studies += 1
    tally.wall_s += time.perf_counter() - began
    if records(place / "study") != expected:
        tally.records_that_differ += 1
        place.rename(folder / f"differs-{tally.studies}")


def _life(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """One attempt, with its own Ray."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    own["RAY_ADDRESS"] = "local"  # and no cluster that happens to run on this machine
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "study.cli", *command, "--no-report"],
            cwd=folder, env=own, stdout=log, stderr=log,
        )  # fmt: skip


def _kill_later(process: subprocess.Popen[bytes], role: str, after_s: float, tally: Tally) -> None:
    """Wait until the role is there, then for a moment, and kill it; unless all is over before."""
    deadline = time.monotonic() + 120.0
    while process.poll() is None and time.monotonic() < deadline:
        found = _processes(process.pid, role)
        if found:
            break
        time.sleep(0.05)
    else:
        return
    end = time.monotonic() + after_s
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    family = _family(process.pid)
    victims = _processes(process.pid, role)
    if process.poll() is not None or not victims:
        return
    tally.kills[role] += 1
    victims[-1].send_signal(signal.SIGKILL)
    if role == "driver":
        process.wait()
        tally.left_behind += _wait_for_end(family)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _processes(pid: int, role: str) -> list[psutil.Process]:
    """Processes of a driver by what they do."""
    if role == "driver":
        return [psutil.Process(pid)] if psutil.pid_exists(pid) else []
    found = []
    for each in _family(pid):
        try:
            name, line = each.name(), " ".join(each.cmdline())
        except psutil.Error:
            continue
        is_worker = line.startswith("ray::") and "IDLE" not in line
        if (role == "worker" and is_worker) or name == role:
            found.append(each)
    return found


def _wait_for_end(processes: list[psutil.Process]) -> int:
    """How many are there after half a minute; those are ended."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    for each in alive:
        each.kill()
    return len(alive)


def finished_rounds(study: Path) -> dict[str, str]:
    """When each finished round was finished, by trial and round."""
    found = {}
    for path in sorted(study.glob("trials/*/rounds.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[f"{path.parent.name}/{record['round']}"] = record["finished_at"]
    return found


def records(study: Path) -> dict[str, list[dict[str, object]]]:
    """All records that must be the same in each run of a study, by file."""
    found: dict[str, list[dict[str, object]]] = {}
    for path in sorted(study.glob("trials/*/rounds.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        found[f"{path.parent.name}/rounds"] = [
            {key: value for key, value in line.items() if key not in TIMES} for line in lines
        ]
    for path in sorted(study.glob("trials/*/plan.json")):
        found[f"{path.parent.name}/plan"] = [json.loads(path.read_text())]
    for path in sorted(study.glob("trials/*/outcome.json")):
        outcome = json.loads(path.read_text())
        kept = ("status", "stop_reason", "rounds_finished", "rounds_planned")
        found[f"{path.parent.name}/outcome"] = [{key: outcome[key] for key in kept}]
    return found


if __name__ == "__main__":
    main()
