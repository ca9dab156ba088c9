"""Progress of a study on stderr: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from threading import Lock
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.configuration.loading import StudyConfig
from study.records import SAMPLES_SPENT, MetricRecord
from study.terminal.front_plot import compact, front_plot
from study.terminal.standing import PHASES, Standing
from study.visible import visible

LINE_INTERVAL_S = 10.0
"""Least time between two lines where there is no terminal."""

REDRAWS_PER_S = 4

PLOT_WIDTH, PLOT_HEIGHT = 76, 12

MOST_ROWS = 8
"""Running trials that are shown."""


class Progress:
    """Shows trials as they run, the front so far, and how long it will take.

    Parameters
    ----------
    config
        The study, with its objectives.
    quality
        What its networks are judged by.
    quiet
        Show nothing.
    console
        Where to show it; unset: stderr.
    """

    def __init__(
        self,
        config: StudyConfig,
        quality: MetricRecord,
        quiet: bool,
        console: Console | None = None,
    ) -> None:
        self._name = config.study.name
        self._console = console or Console(stderr=True, quiet=quiet, highlight=False)
        self._standing = Standing(config, quality, time.monotonic())
        self._lock = Lock()  # the live view is drawn by a thread of its own
        # FORCE_COLOR makes rich take a log file for a terminal; nothing can be redrawn in one.
        is_terminal = self._console.is_interactive and self._console.file.isatty()
        self._is_live = is_terminal and not quiet
        self._live = Live(
            get_renderable=self.view,
            console=self._console,
            refresh_per_second=REDRAWS_PER_S,
            transient=True,
        )
        self._last_line_s = 0.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        else:
            self.say(self._standing.phase)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_live:
            self._live.stop()
            self._console.print(self.view())
        else:
            self._print_line()

    def say(self, line: str) -> None:
        """Print a line, above the live view if there is one."""
        # A Text: in a plain string rich would take brackets for its own marks.
        self._console.print(Text(visible(f"{self._name}: {line}"), style="dim"))

    def listen(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        """Take note of an event, of a trial or of the study itself."""
        now_s = time.monotonic()
        with self._lock:
            self._standing.note(event, trial_id, result, now_s)
        if event == SAMPLES_SPENT:
            self.say(
                f"the budget of {result['budget']:,} training examples is spent: the search took "
                f"{result['train_samples']:,.0f}"
            )
        if self._is_live:
            return
        if event in PHASES:
            self.say(PHASES[event])
        elif self._standing.networks and now_s - self._last_line_s > LINE_INTERVAL_S:
            self._last_line_s = now_s
            self._print_line()

    @property
    def dense_diverged(self) -> bool:
        """Whether a dense run ended with figures that are not finite."""
        return self._standing.dense_diverged

    @property
    def samples_spent(self) -> bool:
        """Whether the search ended because its budget of training examples was spent."""
        return self._standing.samples_spent

    def view(self) -> RenderableType:
        """What the terminal shows now."""
        with self._lock:
            lines = self._standing.lines(time.monotonic())
            running = sorted(self._standing.running.items())
            networks, front = list(self._standing.networks), self._standing.front
        quality, size = self._standing.quality, self._standing.size
        rows = _rows(running, quality)
        width = min(self._console.width, PLOT_WIDTH)
        height = min(PLOT_HEIGHT, self._console.height - len(lines) - rows.row_count - 2)
        plain = not (self._console.encoding or "").lower().startswith("utf")
        plot = front_plot(networks, front, quality, size, width, height, plain)
        return Group(
            *(Text(visible(line)) for line in lines),
            *(Text(line, style="cyan", no_wrap=True) for line in plot),
            *([rows] if running else []),
        )

    def _print_line(self) -> None:
        line = " · ".join(self._standing.lines(time.monotonic()))
        self._console.print(Text(visible(line)), soft_wrap=True)


def _rows(running: list[tuple[str, Any]], quality: MetricRecord) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in ("trial", "round", "density", quality.name):
        table.add_column(name, justify="left" if name == "trial" else "right")
    for trial_id, result in running[:MOST_ROWS]:
        shown = Text(visible(trial_id))
        if result:
            table.add_row(
                shown,
                f"{result['round']}/{result['rounds_planned']}",
                f"{result['density']:.3g}",
                compact(quality, result[quality.column]),
            )
        else:
            table.add_row(shown, "-", "-", "-")
    more = len(running) - MOST_ROWS
    if more > 0:
        table.add_row(f"and {more} more", "", "", "")
    return table
