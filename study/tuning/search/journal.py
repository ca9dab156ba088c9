"""Optuna's journal in a study folder, wherever that is; its owner is its only writer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from study.files.documents import read_lines
from study.files.problems import Problems
from study.records import JOURNAL_FILE, JournalLine
from study.storage import Folder


class FolderJournal(BaseJournalBackend):
    """Keeps Optuna's log lines, in the format of Optuna's own journal file.

    Lines are collected and written by :meth:`flush`, so that what belongs together (a trial and
    all its parameters) is one write. A line that a crash tore off is skipped; whoever reads the
    study is told of it (:func:`study.tuning.resuming.prepare_resume`, :func:`analysis.load`).

    Parameters
    ----------
    folder
        Of the study.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._unwritten: list[str] = []
        lines = read_lines(folder, JournalLine, Problems(), JOURNAL_FILE)
        self._logs: list[dict[str, Any]] = [line.model_dump() for line in lines]

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """All lines from one on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Take further lines; they count at once, and are written with the next flush."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._logs += [json.loads(line) for line in lines]
        self._unwritten += lines

    def flush(self) -> None:
        """Write what was taken since the last time."""
        if self._unwritten:
            self._folder.append_line("\n".join(self._unwritten), JOURNAL_FILE)
            self._unwritten.clear()
