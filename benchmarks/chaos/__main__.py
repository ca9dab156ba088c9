"""A study whose processes are killed again and again, against the same study left alone.

    python -m benchmarks.chaos --kills 100
    python -m benchmarks.chaos --kills 20 --at-a-time 2

Driver, workers, raylet and Ray's server are killed (SIGKILL) at random moments of a real study,
which is resumed until it is done, and begun anew until there were as many kills. Its records must
be those of the unkilled study, and no finished round may be lost or run again; what was trained
since a round's last checkpoint is trained again by nature. A worker that is killed is replaced in
the same life, so one life may see several kills. Of several trials at a time, which plan is drawn
depends on which trial ends first: there those that ran the same plan must have the same records.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.chaos.comparing import finished_rounds, of_the_same_plans, records, told
from benchmarks.chaos.killing import ROLES, Life, begin

STUDY = """
[study]
name = "study"
num_samples = 8
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
recovery_epochs = 1
[confirm]
share = 0
[resources]
cpus_per_trial = 0.5
max_concurrent = {at_a_time}
max_failures = 1000
checkpoint_interval_s = 0.2
share_trajectories = false
"""

STARTING = 0.15
"""Share of the kills that come before the study has begun: while Ray starts."""

LONGEST_LIFE_S = 600.0
"""A life that takes longer hangs."""


@dataclass
class Tally:
    """What went wrong, in all studies."""

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    studies: int = 0
    rounds: int = 0
    rounds_lost: int = 0
    rounds_run_twice: int = 0
    records_that_differ: int = 0
    plans_compared: int = 0
    left_open: int = 0
    left_behind: int = 0
    hung: int = 0
    wall_s: float = 0.0

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {role}" for role, count in sorted(self.kills.items()))
        moments = ", ".join(f"{count} {event}" for event, count in self.moments.most_common())
        return (
            f"{self.kills.total()} kills ({kills}; last event before them: {moments}) in "
            f"{self.studies} studies, {self.lives} lives, {self.rounds} rounds: rounds lost "
            f"{self.rounds_lost}, finished rounds run again {self.rounds_run_twice}, records that "
            f"differ {self.records_that_differ} of {self.plans_compared} trials, plans left open "
            f"{self.left_open}, processes left behind {self.left_behind}, lives that hung "
            f"{self.hung}"
        )


@click.command(help=__doc__.partition("\n")[0])
@click.option("--kills", default=100, help="In all studies together.")
@click.option("--seed", default=0, help="Of who is killed, and when.")
@click.option(
    "--longest-s",
    type=float,
    help="Before a kill, of which the moment is drawn evenly; default: half of what the study "
    "takes alone, so that rounds are met too where workers start slowly.",
)
@click.option("--at-a-time", default=1, help="Trials of the study that run at a time.")
@click.option("--folder", default="build/chaos", type=Path, help="Emptied first.")
def main(kills: int, seed: int, longest_s: float | None, at_a_time: int, folder: Path) -> None:
    """Kill, resume, compare."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY.format(at_a_time=at_a_time))
    chaos = Chaos(folder, kills, random.Random(seed), is_one=at_a_time == 1)
    alone_s = chaos.leave_alone()
    chaos.longest_s = alone_s / 2 if longest_s is None else longest_s
    tally = chaos.tally
    try:
        while tally.kills.total() < kills:
            chaos.run_a_study()
    finally:  # also of a benchmark that is broken off
        click.echo(f"{tally}")
    click.echo(f"{tally.wall_s / tally.studies:.0f} s a study, {alone_s:.0f} s left alone")


class Chaos:
    """Studies in a folder, and what was seen of them."""

    def __init__(self, folder: Path, kills: int, chance: random.Random, *, is_one: bool) -> None:
        self.folder, self.chance, self.is_one = folder, chance, is_one
        self.longest_s = 0.0
        self.tally, self.most = Tally(), kills

    def leave_alone(self) -> float:
        """Run the study without a kill; how many seconds it took."""
        began = time.perf_counter()
        if self._begin("run", "study.toml", "--storage-path", "whole").process.wait() != 0:
            raise click.ClickException(f"the study left alone failed: see {self.folder}/log.txt")
        self.whole = self.folder / "whole" / "study"
        return time.perf_counter() - began

    def run_a_study(self) -> None:
        """Run a study to its end, however often it is killed, and compare."""
        place = self.folder / f"killed-{self.tally.studies}"
        study, seen = place / "study", dict[str, str]()
        began = time.perf_counter()
        command = ["run", "study.toml", "--storage-path", place.name]
        while True:
            life = self._begin(*command)
            self.tally.lives += 1
            self._kill_now_and_then(life, study, seen)
            self._look(study, seen)
            code = life.process.wait()
            left = life.left_behind()
            self.tally.left_behind += len(left)
            if left:
                click.echo(f"left behind by a {command[0]} of {place.name}: {left}")
            if code == 0:
                break
            if (study / "study.toml").exists():
                command = ["resume", str(study.relative_to(self.folder))]
        self.tally.studies += 1
        self.tally.wall_s += time.perf_counter() - began
        self._compare(study)

    def _begin(self, *command: str) -> Life:
        return begin([*command, "--no-report", "--quiet"], self.folder, self.folder / "log.txt")

    def _kill_now_and_then(self, life: Life, study: Path, seen: dict[str, str]) -> None:
        """Kill until the driver ends; a worker's end is none of the study."""
        begun, role = _events(study), "study"
        ends = time.monotonic() + LONGEST_LIFE_S
        for role, waits_for_begin in self._plans():
            while waits_for_begin and not life.is_over and _events(study) == begun:
                time.sleep(0.1)
            moment = time.monotonic() + self.chance.uniform(0.0, self.longest_s)
            while not life.is_over and (time.monotonic() < moment or not life.of(role)):
                if time.monotonic() > ends:
                    break
                self._look(study, seen)
                time.sleep(0.25)
            self._look(study, seen)
            if not life.is_over and life.kill(role, self.chance.choice):
                self.tally.kills[role] += 1
                event = _last_event(study) if _events(study) != begun else "starting"
                self.tally.moments[event] += 1
                click.echo(f"{study.parent.name}: {role} killed, last event {event}")
            if role != "worker":
                break
        while not life.is_over:
            if time.monotonic() > ends:
                self.tally.hung += 1
                click.echo(f"{study.parent.name}: hung after the {role}'s end")
                life.process.kill()
                life.process.wait()
            self._look(study, seen)
            time.sleep(0.25)

    def _plans(self) -> Iterator[tuple[str, bool]]:
        """Who is to be killed next, and whether only once the study has begun."""
        while self.tally.kills.total() < self.most:
            role = self.chance.choice(ROLES)
            yield role, role == "worker" or self.chance.random() > STARTING

    def _look(self, study: Path, seen: dict[str, str]) -> None:
        """Take note of finished rounds; one that was seen must stay as it was."""
        found = finished_rounds(study)
        lost = [each for each in seen if each not in found]
        again = [each for each in seen if found.get(each, seen[each]) != seen[each]]
        self.tally.rounds_lost += len(lost)
        self.tally.rounds_run_twice += len(again)
        if lost or again:
            click.echo(f"{study.parent.name}: rounds lost {lost}, run again {again}")
        for each in lost:
            del seen[each]
        seen.update(found)

    def _compare(self, study: Path) -> None:
        tally, found, expected = self.tally, records(study), records(self.whole)
        compared, differing = of_the_same_plans(found, expected)
        known, left_open = told(study)
        if self.is_one and (found != expected or known != told(self.whole)[0]):
            differing = max(differing, 1)
        tally.plans_compared += compared
        tally.records_that_differ += differing
        tally.left_open += left_open
        tally.rounds += len(finished_rounds(study))
        if differing:
            click.echo(f"{study.parent.name}: differs")


def _events(study: Path) -> int:
    """How often the study was begun or gone on with."""
    return sum(event in ("study_started", "study_resumed") for event in _event_names(study))


def _last_event(study: Path) -> str:
    return (_event_names(study) or ["none"])[-1]


def _event_names(study: Path) -> list[str]:
    path = study / "events.jsonl"
    lines: list[Any] = path.read_text().splitlines() if path.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line)["event"])
        except ValueError:
            continue  # torn by a kill
    return found


if __name__ == "__main__":
    main()
