"""Signals that end a run before its time.

The first signal asks: workers finish the epoch that is under way, keep where they stand, and stop.
The second one, and the first where nobody could be asked, ends the run at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

GRACE_S = 20.0
"""Given to workers by signals that do not wait long themselves (Slurm and Kubernetes kill after
half a minute); who presses Ctrl-C may press it again."""

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; what was finished is on disk."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def exit_code(error: KeyboardInterrupt) -> int:
    """What a shell expects of a process that a signal ended: 130 of Ctrl-C, 143 of SIGTERM."""
    return 128 + getattr(error, "signum", int(signal.SIGINT))


class Interrupts:
    """Heeds SIGINT, SIGTERM and SIGHUP while it is entered, in a process's main thread.

    A signal that was ignored before (as under nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._ask: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for each in _SIGNALS:
                if signal.getsignal(each) is not signal.SIG_IGN:
                    self._before[each] = signal.signal(each, self._heed)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)
        # Ray's C++ code turns what a handler raises into a KeyboardInterrupt of no signal.
        if type(error) is KeyboardInterrupt and self.signum is not None:
            raise Interrupted(self.signum) from error

    @contextmanager
    def asking(self, ask: Callable[[], None]) -> Iterator[None]:
        """While this is entered, the first signal calls ``ask``, and nothing is cut off."""
        if self.signum is not None:
            raise Interrupted(self.signum)
        self._ask = ask
        try:
            yield
        finally:
            self._ask = None
            if self.signum is not None and self._before:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _heed(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None and self._ask is not None:
            self.signum = signum
            if signum != signal.SIGINT:
                signal.signal(signal.SIGALRM, self._heed)
                signal.setitimer(signal.ITIMER_REAL, GRACE_S)
            self._ask()
            return
        self.signum = self.signum or signum
        raise Interrupted(self.signum)
