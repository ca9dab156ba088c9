"""Progress of a study on stderr: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.config import StudyConfig
from study.front_plot import front_of, front_plot

LINE_INTERVAL_S = 10.0
"""Least time between two lines where there is no terminal."""

PLOT_WIDTH, PLOT_HEIGHT = 76, 12

MOST_ROWS = 8
"""Running trials that are shown."""

PHASES = {
    "training_dense_run": "training the dense network",
    "scanning_layers": "scanning how much each layer can take",
    "search_started": "searching",
}
"""Events of a study that say what it does now."""


class Progress:
    """Shows trials as they run, the front so far, and how long it will take.

    Parameters
    ----------
    config
        The study.
    quiet
        Show nothing.
    console
        Where to show it; unset: stderr.
    """

    def __init__(self, config: StudyConfig, quiet: bool, console: Console | None = None) -> None:
        self._trials = config.study.num_samples
        self._name = config.study.name
        self._console = console or Console(stderr=True, quiet=quiet, highlight=False)
        self._is_live = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._phase = "starting Ray"
        self._running: dict[str, dict[str, Any]] = {}
        self._ended: set[str] = set()
        self._counts = {"failed": 0, "stopped early": 0}
        self._networks: list[tuple[float, float]] = []
        self._dense_accuracy = float("nan")
        self._best: dict[str, Any] | None = None
        self._started = self._search_started = time.monotonic()
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        else:
            self.say(self._phase)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_live:
            self._live.stop()
        self._console.print(self._summary())

    def say(self, line: str) -> None:
        """Print a line above the live view."""
        self._console.print(f"{self._name}: {line}", style="dim")

    def listen(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        """Take note of an event, of a trial or of the study itself."""
        if event in PHASES:
            self._phase = PHASES[event]
            self._search_started = time.monotonic()
            if not self._is_live:
                self.say(self._phase)
        elif event == "trial_started":
            self._running[trial_id] = {}
        elif event == "round_finished":
            self._running[trial_id] = result
            self._note_round(result)
        elif event.startswith("trial_"):
            self._running.pop(trial_id, None)
            self._ended.add(trial_id)
            self._counts["failed"] += event == "trial_errored"
            self._counts["stopped early"] += event == "trial_stopped"
        if self._is_live:
            self._live.update(self.view())
        elif self._networks and time.monotonic() - self._last_line > LINE_INTERVAL_S:
            self._last_line = time.monotonic()
            self._console.print(self._summary())

    def view(self) -> RenderableType:
        """What the terminal shows now."""
        width = min(self._console.width, PLOT_WIDTH)
        plain = not (self._console.encoding or "").lower().startswith("utf")
        plot = front_plot(self._networks, width, PLOT_HEIGHT, plain)
        return Group(self._summary(), *(Text(line, style="cyan") for line in plot), self._rows())

    def _note_round(self, result: dict[str, Any]) -> None:
        if result["round"] == 0:
            self._dense_accuracy = result["val_accuracy"]
            return
        self._networks.append((result["density"], result["val_accuracy"]))
        good = result["val_accuracy"] >= self._dense_accuracy - 0.01
        if good and (self._best is None or result["density"] < self._best["density"]):
            self._best = result

    def _summary(self) -> Text:
        now, ended = time.monotonic(), len(self._ended)
        if not self._networks:
            return Text(f"{self._name}: {self._phase} · {now - self._started:.0f} s")
        parts = [
            f"{self._name}: {ended}/{self._trials} trials",
            *(f"{count} {what}" for what, count in self._counts.items() if count),
            f"{len(self._networks)} networks, {len(front_of(self._networks))} on the front",
            f"{now - self._started:.0f} s",
        ]
        if 0 < ended < self._trials:
            left = (now - self._search_started) / ended * (self._trials - ended)
            parts.append(f"about {left:.0f} s to go")
        if self._best is not None:
            parts.append(
                f"within 1 point of dense: density {self._best['density']:.3f} "
                f"at {self._best['val_accuracy']:.1%}"
            )
        return Text(" · ".join(parts))

    def _rows(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
        for name in ("trial", "round", "density", "accuracy"):
            table.add_column(name, justify="left" if name == "trial" else "right")
        for trial_id, result in sorted(self._running.items())[:MOST_ROWS]:
            if result:
                table.add_row(
                    trial_id,
                    f"{result['round']}/{result['rounds_planned']}",
                    f"{result['density']:.3f}",
                    f"{result['val_accuracy']:.1%}",
                )
            else:
                table.add_row(trial_id, "-", "-", "-")
        more = len(self._running) - MOST_ROWS
        if more > 0:
            table.add_row(f"and {more} more", "", "", "")
        return table if self._running else Text("")
