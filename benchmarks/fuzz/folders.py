"""Damaged study folders: every kind of damage to every kind of file, and what comes of it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.fuzz.calls import (
    RIGHT,
    WOULD_TRAIN,
    Ended,
    call,
    commands,
    reports,
    without_training,
)
from benchmarks.fuzz.damages import EVERY, HARMLESS, OF_ENDING, Damage, Place, folder_link_out
from benchmarks.fuzz.source_study import source_study
from benchmarks.fuzz.tally import Tally

FAULTS = ("tracebacks", "hangs", "wrong exit codes", "files written", "files unnamed")

PER_FOLDER = 2
"""Commands of each folder, beside a status."""

A_REPORT_EVERY = 25
"""Folders: a report takes as long as forty other commands."""

_LEFT_ALONE = ("ray", "optuna.journal", "report.html")
"""What no command reads."""

_WRITTEN = ("report.html", "analysis_cache")
"""What commands do write into a study; and those that would train in it, whose it is."""


def plan(study: Path, count: int, seed: int) -> Iterator[tuple[Path, Damage, random.Random]]:
    """Which damage to which file, each pair of kinds as often as the next, in an order by seed."""
    draw = random.Random(seed)
    files: dict[str, list[Path]] = {}
    for file in sorted(study.rglob("*")):
        own = file.relative_to(study)
        if file.is_file() and own.parts[0] not in _LEFT_ALONE:
            files.setdefault(f"{own.parts[0]}/{own.name}", []).append(own)
    pairs = [
        (kind, damage)
        for kind, some in files.items()
        for damage in (*EVERY, *OF_ENDING.get(some[0].suffix, ()))
        if damage is not folder_link_out or len(some[0].parts) > 1
    ]
    done = 0
    while done < count:
        draw.shuffle(pairs)
        for kind, damage in pairs[: count - done]:
            yield draw.choice(files[kind]), damage, random.Random(draw.random())
            done += 1


def fuzz(
    source: Path,
    count: int,
    seed: int,
    tally: Tally,
    per_folder: int = PER_FOLDER,
    dear: int = A_REPORT_EVERY,
) -> None:
    """Damage copies of a study, and call commands on them.

    Parameters
    ----------
    source
        A finished study; it stays as it is.
    count, seed
        How many folders, and which.
    tally
        What is found is added here.
    per_folder, dear
        Commands of each beside a status, and after how many folders a report is written.
    """
    with tempfile.TemporaryDirectory() as temporary, without_training():
        root = Path(temporary)
        study, out, outside = root / "study", root / "out", root / "outside"
        shutil.copytree(source, study, ignore=shutil.ignore_patterns("ray", "analysis_cache"))
        out.mkdir()
        trials = [path.name for path in sorted((study / "trials").iterdir())]
        for number, (file, damage, draw) in enumerate(plan(study, count, seed)):
            outside.mkdir()
            (outside / "canary").write_text("untouched")
            backup = root / "backup"
            shutil.copytree(study / file.parent, backup) if file.parent.name else shutil.copy(
                study / file, backup
            )
            damage(Place(study / file, outside), draw)
            _age(study / file)
            before, around = _listing(study), _contents(outside)
            trial = file.parts[1] if file.parts[0] == "trials" else draw.choice(trials)
            cheap = commands(str(study), trial, draw.choice([0, 1]), out)
            chosen = [cheap[0], *draw.sample(cheap[1:], per_folder)]
            if number % dear == dear - 1:
                chosen.append(draw.choice(reports(str(study), out)))
            allowed = _WRITTEN
            for arguments in chosen:
                ended = call(arguments, out)
                if WOULD_TRAIN in ended.said:
                    allowed = (*_WRITTEN, "owners")
                tally.calls += 1
                tally.codes[ended.code] += 1
                told = f"{damage.__name__} {file}: {' '.join(arguments)}"
                _judge(tally, ended, told)
                if _must_name(damage, file, arguments) and file.name not in ended.said:
                    tally.fault("files unnamed", f"{told}\n{ended.said[-300:]}")
            new = _listing(study) - before
            if any(path.split("/")[0] not in allowed for path in new):
                tally.fault("files written", f"{damage.__name__} {file}: {sorted(new)}")
            if _contents(outside) != around:
                tally.fault("files written", f"{damage.__name__} {file}: outside")
            _restore(study, file, backup, new)
            shutil.rmtree(outside)
            tally.cases += 1


def _judge(tally: Tally, ended: Ended, told: str) -> None:
    if ended.hung:
        tally.fault("hangs", told)
    elif ended.trace:
        tally.fault("tracebacks", f"{told}\n{ended.trace[-1500:]}")
    elif ended.code not in RIGHT:
        tally.fault("wrong exit codes", f"{told}: {ended.code}")
    elif ended.code and not ended.said.strip():
        tally.fault("files unnamed", f"{told}: {ended.code} without a word")


def _must_name(damage: Damage, file: Path, arguments: list[str]) -> bool:
    """Whether a command that reads the file can't but see that it is damaged."""
    if damage in HARMLESS or arguments[0] != "status":
        return False
    always = ("study.toml", "task.json", "provenance.json", "events.jsonl", "test.jsonl")
    own = ("plan.json", "outcome.json", "rounds.jsonl", "origin.json")
    return str(file) in always or (file.parts[0] == "trials" and file.name in own)


def _age(file: Path) -> None:
    """As if it had been written a while ago: nobody is writing it now."""
    if file.is_file() and not file.is_symlink():
        then = time.time() - 60
        os.utime(file, (then, then))


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _restore(study: Path, file: Path, backup: Path, new: set[str]) -> None:
    damaged = study / file.parent if file.parent.name else study / file
    if damaged.is_dir() and not damaged.is_symlink():
        shutil.rmtree(damaged)
    else:
        damaged.unlink(missing_ok=True)
    shutil.move(backup, damaged)
    shutil.rmtree(study / "analysis_cache", ignore_errors=True)


@click.command()
@click.option("--count", default=1500, show_default=True, help="Damaged folders.")
@click.option("--seed", default=0, show_default=True)
@click.option("--show", default=10, show_default=True, help="Faults that are told in full.")
def folders(count: int, seed: int, show: int) -> None:
    """Damage copies of a finished study, and call every command on them."""
    tally, began = Tally(), time.perf_counter()
    fuzz(source_study(), count, seed, tally)
    tally.tell("damaged folders", FAULTS, time.perf_counter() - began, show)
    raise SystemExit(1 if tally.counts else 0)
