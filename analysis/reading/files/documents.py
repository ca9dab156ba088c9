"""The documents of a study: plans and outcomes of its trials, and what happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pandas as pd

from analysis.reading.files.trial_files import read_batches
from study.files.documents import noted, parse, read_lines
from study.files.problems import Problems
from study.records import EVENTS_FILE, TRIALS_DIR, Event, Record
from study.storage import Folder

R = TypeVar("R", bound=Record)

BEGINS = ("study_started", "study_resumed")
ENDS = ("study_finished", "study_interrupted", "study_failed")
"""Events after which nothing runs, until the study is resumed."""


def read_documents(
    folder: Folder, ids: Sequence[str], model: type[R], file: str, problems: Problems
) -> list[R | None]:
    """The same document of each trial; None where it is missing or damaged."""
    found: list[R | None] = []
    for batch in read_batches(folder, ids, file, problems):
        for trial_id, data in batch:
            found.append(None)
            if data:
                with noted(problems, TRIALS_DIR, trial_id, file):
                    found[-1] = parse(model, data)
    return found


def read_events(folder: Folder, problems: Problems) -> pd.DataFrame:
    """What happened to the study, in order: at (UTC), event, trial_id, detail."""
    columns = ["at", "event", "trial_id", "detail"]
    records = read_lines(folder, Event, problems, EVENTS_FILE)
    rows = [[getattr(record, name) for name in columns] for record in records]
    events = pd.DataFrame(rows, columns=columns)
    events["at"] = pd.to_datetime(events["at"], utc=True, format="ISO8601", errors="coerce")
    return events.astype({"event": "str", "trial_id": "str"})


def is_over(events: pd.DataFrame) -> bool:
    """Whether the study's last driver said that nothing runs any more."""
    told = events.loc[events["event"].isin([*BEGINS, *ENDS]), "event"]
    return bool(len(told)) and told.iloc[-1] in ENDS
