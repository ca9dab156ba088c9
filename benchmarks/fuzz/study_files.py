"""Bad study files, and right ones: what comes of each under ``run --dry-run``."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

import click

from benchmarks.fuzz.calls import Ended, call
from benchmarks.fuzz.study_texts import BAD, EITHER, GOOD, Case, cases
from benchmarks.fuzz.tally import Tally

FAULTS = (
    "tracebacks", "hangs", "wrong exit codes", "files written", "fields unnamed",
    "valid files refused", "memory eaten", "unclear messages",
)  # fmt: skip

LONGEST_MESSAGE = 4000
"""Letters; more than that nobody reads."""

MOST_MB = 400
"""That one case may add to the most that this process ever took."""


def fuzz(drawn: Iterable[Case], tally: Tally) -> None:
    """Call ``run --dry-run`` on study files, each in the same folder.

    Parameters
    ----------
    drawn
        The cases.
    tally
        What is found is added here.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        home, here = root / "home", root / "here"
        home.mkdir()
        (root / "not ours").mkdir()
        here.mkdir()
        own = {
            "HOME": str(home),
            "PRUNE_STUDY_CACHE": os.devnull,
            "MPLCONFIGDIR": str(root / "not ours"),
        }
        # What others train on this machine is not waited for.
        locks = patch("study.pruning.latency.quiet.lock_folder", lambda: root / "not ours")
        with patch.dict(os.environ, own), locks:
            for number, case in enumerate(drawn):
                _try(case, number, root, here, tally)


def _try(case: Case, number: int, root: Path, here: Path, tally: Tally) -> None:
    _lay_out(case, here)
    arguments = ["run", *([] if case.place == "preset" else ["case.toml"]), *case.options]
    before, most = _listing(root), _most_mb()
    ended = call([*arguments, "--dry-run"], here)
    sys.modules.pop("own_module", None)
    tally.cases += 1
    tally.calls += 1
    tally.codes[ended.code] += 1
    told = f"case {number}, {case.kind}: {' '.join(arguments)[:300]}"
    _judge(tally, case, ended, told)
    if (more := _most_mb() - most) > MOST_MB and number:
        tally.fault("memory eaten", f"{told}: {more:.0f} MB")
    if new := {
        path
        for path in _listing(root) - before
        if "__pycache__" not in path and not path.startswith("not ours/")
    }:
        tally.fault("files written", f"{told}: {sorted(new)}")
    shutil.rmtree(here)
    here.mkdir()


def _lay_out(case: Case, here: Path) -> None:
    file = here / "case.toml"
    if case.place == "file":
        file.write_bytes(case.content)
    elif case.place == "folder":
        file.mkdir()
    elif case.place == "pipe":
        os.mkfifo(file)
    elif case.place == "link":
        file.symlink_to("case.toml")
    elif case.place == "device":
        file.symlink_to("/dev/zero")
    if case.module is not None:
        (here / "own_module.py").write_bytes(case.module.encode("utf-8", "surrogateescape"))


def _judge(tally: Tally, case: Case, ended: Ended, told: str) -> None:
    said = ended.said[-1500:]
    if ended.hung:
        tally.fault("hangs", told)
    elif ended.trace:
        tally.fault("tracebacks", f"{told}\n{ended.trace[-2500:]}")
    elif case.verdict == GOOD and ended.code:
        tally.fault("valid files refused", f"{told}\n{case.content.decode()[-600:]}\n{said}")
    elif ended.code not in (0, 2) or (case.verdict == BAD and ended.code != 2):
        content = case.content[-600:].decode(errors="replace")
        tally.fault("wrong exit codes", f"{told}: {ended.code}\n{content}")
    elif ended.code == 2:
        missing = [name for name in case.named if name not in ended.said]
        if missing:
            tally.fault("fields unnamed", f"{told}: {missing}\n{said}")
        if len(ended.said) > LONGEST_MESSAGE or "Traceback (most" in said or not _is_plain(said):
            tally.fault("unclear messages", f"{told}: {len(ended.said)} letters\n{said!r}")


def _is_plain(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command("study_files")
@click.option("--cases", "count", default=3000, show_default=True, help="Bad study files.")
@click.option("--seed", default=0, show_default=True)
@click.option("--show", default=10, show_default=True, help="Faults that are told in full.")
@click.option("--only", help="Cases whose kind has this in its name.")
def study_files(count: int, seed: int, show: int, only: str | None) -> None:
    """Call a dry run on bad study files, and on right ones between them."""
    tally, began = Tally(), time.perf_counter()
    drawn, bad = list[Case](), 0
    for case in cases(2 * count, seed):
        drawn.append(case)
        bad += case.verdict == BAD
        if bad == count:
            break
    chosen = [case for case in drawn if only is None or only in case.kind]
    fuzz(chosen, tally)
    verdicts = [case.verdict for case in chosen]
    what = f"study files ({', '.join(f'{verdicts.count(v):,} {v}' for v in (BAD, GOOD, EITHER))})"
    tally.tell(what, FAULTS, time.perf_counter() - began, show)
    raise SystemExit(1 if tally.counts else 0)
