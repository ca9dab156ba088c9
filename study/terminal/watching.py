"""A status that is shown again and again until there is nothing more to see."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text


def watch(text: Callable[[], tuple[str, bool]], interval_s: float, redraw: bool) -> None:
    """Show a text until it says that it is the last.

    Parameters
    ----------
    text
        Gives what to show now, and whether more is to come.
    interval_s
        Seconds between two looks.
    redraw
        Draw each over the one before; otherwise print it below, where it has changed.
    """
    shown, more = text()
    if not redraw:
        print(shown, flush=True)
        while more:
            time.sleep(interval_s)
            before = shown
            shown, more = text()
            if shown != before:
                print(shown, flush=True)
        return
    with Live(Text(shown), console=Console(), auto_refresh=False) as live:
        while more:
            time.sleep(interval_s)
            shown, more = text()
            live.update(Text(shown), refresh=True)
