"""What workers see of a run that is to end before its time."""

from __future__ import annotations

import time

from study.storage import Folder

LOOK_S, REMOTE_LOOK_S = 0.5, 5.0
"""Between two looks of a worker at whether it is to stop."""


class StopRequestedError(Exception):
    """The driver asked for an end; where the work stood is kept."""


class StopWatch:
    """Looks now and then whether the driver asked for an end.

    Parameters
    ----------
    folder
        Of the study.
    place
        The file in it that says so.
    """

    def __init__(self, folder: Folder, place: tuple[str, ...]) -> None:
        self._folder, self._place = folder, place
        self._pause_s = LOOK_S if folder.local_path is not None else REMOTE_LOOK_S
        self._next = 0.0
        self._asked = False

    def is_asked(self) -> bool:
        """Whether to keep what there is, and stop."""
        if not self._asked and time.monotonic() >= self._next:
            self._asked = self._folder.exists(*self._place)
            self._next = time.monotonic() + self._pause_s
        return self._asked
