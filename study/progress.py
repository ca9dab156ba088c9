"""Progress of a study on stderr: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from study.config import StudyConfig

LINE_INTERVAL_S = 10.0
"""Least time between two lines where there is no terminal."""


class Progress:
    """Shows trials as they run, the best points so far, and how long it will take.

    Parameters
    ----------
    config
        The study.
    quiet
        Show nothing.
    """

    def __init__(self, config: StudyConfig, quiet: bool) -> None:
        self._trials = config.study.num_samples
        self._name = config.study.name
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._is_live = self._console.is_terminal and not quiet
        self._running: dict[str, dict[str, Any]] = {}
        self._ended: set[str] = set()
        self._failed = 0
        self._networks = 0
        self._dense_accuracy = float("nan")
        self._best: dict[str, Any] | None = None
        self._started = time.monotonic()
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        self._console.print(f"{self._name}: starting Ray", style="dim")
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

    def listen(self, event: str, trial_id: str, result: dict[str, Any]) -> None:
        """Take note of an event."""
        if event == "trial_started":
            self._running[trial_id] = {}
        elif event == "round_finished":
            self._running[trial_id] = result
            self._note_round(result)
        elif event.startswith("trial_"):
            self._running.pop(trial_id, None)
            self._ended.add(trial_id)
            self._failed += event == "trial_errored"
        if self._is_live:
            self._live.update(Group(self._summary(), *self._rows()))
        elif time.monotonic() - self._last_line > LINE_INTERVAL_S:
            self._last_line = time.monotonic()
            self._console.print(self._summary())

    def say(self, line: str) -> None:
        """Print a line above the live view."""
        self._console.print(f"{self._name}: {line}", style="dim")

    def _note_round(self, result: dict[str, Any]) -> None:
        if result["round"] == 0:
            self._dense_accuracy = result["val_accuracy"]
            return
        self._networks += 1
        good = result["val_accuracy"] >= self._dense_accuracy - 0.01
        if good and (self._best is None or result["density"] < self._best["density"]):
            self._best = result

    def _summary(self) -> Text:
        elapsed, ended = time.monotonic() - self._started, len(self._ended)
        parts = [
            f"{self._name}: {ended}/{self._trials} trials",
            f"{self._networks} networks",
            f"{elapsed:.0f} s",
        ]
        if self._failed:
            parts.insert(1, f"{self._failed} failed")
        if 0 < ended < self._trials:
            left = elapsed / ended * (self._trials - ended)
            parts.append(f"about {left:.0f} s to go")
        if self._best is not None:
            parts.append(
                f"within 1 point of dense: density {self._best['density']:.3f} "
                f"at {self._best['val_accuracy']:.1%}"
            )
        return Text(" · ".join(parts))

    def _rows(self) -> list[Text]:
        return [
            Text(
                f"  {trial_id}  round {result['round']}/{result['rounds_planned']}  "
                f"density {result['density']:.3f}  accuracy {result['val_accuracy']:.1%}"
                if result
                else f"  {trial_id}  starting",
                style="dim",
            )
            for trial_id, result in sorted(self._running.items())
        ]
