"""What several commands share: options, how their values are read, and how commands end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from study.errors import UsageError
from study.visible import visible

FORMATS = ("table", "csv", "json", "parquet")

OK, CRASH, USAGE, FAILED_TRIALS, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes."""

changes_option = click.option(
    "--set", "changes", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key."
)


def teller(quiet: bool) -> Callable[[str], None] | None:
    """Says on stderr what takes long before a study begins; None where nobody wants to know."""
    return None if quiet else lambda line: click.echo(visible(line), err=True)


def settings(values: Mapping[str, object]) -> list[tuple[str, object]]:
    """Keys of a study file that are given, and their values."""
    return [(key, value) for key, value in values.items() if value is not None]


def as_seconds(text: str | None) -> float | None:
    """Read ``90s``, ``30m``, ``2h`` or ``1d``."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        raise UsageError(f"--time-budget: {text!r} is no time; write 90s, 30m or 2h.") from None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--time-budget: {text!r} is no time above zero.")
    return seconds
