"""Commands in this process, each with a time limit, up to where they would train."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from study.cli import main
from study.errors import UsageError

LIMIT_S = 60

WOULD_TRAIN = "here it would train"
"""What a command says that read all it needs, and holds the folder by now."""

RIGHT = (0, 2, 4)
"""Exit codes that a command may end with, whatever the folder is like."""


class HangError(KeyboardInterrupt):
    """A command went on for too long; what turns errors into messages lets it through."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str
    trace: str = ""
    hung: bool = False


def call(arguments: list[str], cwd: Path) -> Ended:
    """Call a command in a folder of its own."""
    hung = False

    def give_up(*_: Any) -> None:
        nonlocal hung
        hung = True
        raise HangError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT_S)
    error: BaseException | None
    code, said = -1, ""
    try:
        with chdir(cwd):
            result = CliRunner().invoke(main, arguments, prog_name="prune-study")
        error, code, said = result.exception, result.exit_code, result.output
    except BaseException as escaped:  # click's runner lets through what is no Exception
        if isinstance(escaped, KeyboardInterrupt) and not hung:
            raise
        error = escaped
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    trace = ""
    if error is not None and not isinstance(error, SystemExit):
        trace = "".join(traceback.format_exception(error))
    return Ended(code, said, trace, hung)


@contextmanager
def without_training() -> Iterator[None]:
    """What would be trained is refused, once all that it needs was read."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise UsageError(WOULD_TRAIN)

    places = (
        "study.tuning.afterwards.replicating.ray_session",
        "study.tuning.afterwards.conditional_scan.scan",
    )
    os.environ["PRUNE_STUDY_CACHE"] = os.devnull
    with patch(places[0], refuse), patch(places[1], refuse):
        yield


def commands(study: str, trial: str, round_: int, out: Path) -> list[list[str]]:
    """What is called: cheap ones; the reports, which are dear, come apart."""
    return [
        ["status", study],
        ["status", study, "--format", "json"],
        ["table", study, "trials", "--format", "csv"],
        ["table", study, "rounds"],
        ["table", study, "layers", "--format", "json"],
        ["table", study, "sensitivity"],
        ["table", study, "pareto"],
        ["table", study, "controls"],
        ["table", study, "confirmed", "--format", "csv"],
        ["table", study, "named"],
        ["table", study, "thresholds"],
        ["table", study, "cost"],
        ["compare", study],
        ["export", study, "--trial", trial, "-o", str(out / "network.safetensors")],
        ["export", study, "--trial", trial, "--round", str(round_),
         "-o", str(out / "dense.safetensors")],
        ["replicate", study, "--trial", trial, "--seeds", "1"],
        ["sensitivity", study, "--trial", trial],
        ["confirm", study, "--no-report"],
        ["confirm", study, "--no-report", "--trial", trial],
    ]  # fmt: skip


def reports(study: str, out: Path) -> list[list[str]]:
    """The reports: each draws everything."""
    return [
        ["report", study, "-o", str(out / "report.html")],
        ["report", study],
        ["report", study, "--format", "json"],
        ["table", study, "checklist"],
    ]
