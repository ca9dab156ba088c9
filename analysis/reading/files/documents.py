"""The JSON documents of a study: plans and outcomes of its trials, events, provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.reading.files.lines import whole_lines
from analysis.reading.files.problems import refuse_newer
from analysis.reading.files.trial_files import read_batches
from study.records import EVENTS_FILE, TRIALS_DIR
from study.storage import Folder

Document = dict[str, Any]

BEGINS = ("study_started", "study_resumed")
ENDS = ("study_finished", "study_interrupted", "study_failed")
"""Events after which nothing runs, until the study is resumed."""


def read_documents(
    folder: Folder, ids: Sequence[str], file: str, problems: dict[str, str]
) -> list[Document | None]:
    """The same document of each trial; None where it is missing or damaged."""
    return [
        None if not data else _parse(data, f"{TRIALS_DIR}/{trial_id}/{file}", problems)
        for batch in read_batches(folder, ids, file)
        for trial_id, data in batch
    ]


def read_document(folder: Folder, file: str, problems: dict[str, str]) -> Document:
    """A document of the study itself; empty where it is missing or damaged."""
    if not folder.exists(file):
        return {}
    return _parse(folder.read(file), file, problems) or {}


def read_events(folder: Folder, problems: dict[str, str]) -> pd.DataFrame:
    """What happened to the study, in order: at (UTC), event, trial_id, detail."""
    rows, torn = [], []
    text = whole_lines(folder.read(EVENTS_FILE)) if folder.exists(EVENTS_FILE) else b""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            event = json.loads(line)
            rows.append({key: event.get(key) for key in ("at", "event", "trial_id", "detail")})
        except (ValueError, AttributeError):
            # The writer was killed in this line; the next one began anew.
            torn.append(str(number))
    if torn:
        problems[EVENTS_FILE] = f"cannot be read in line {', '.join(torn[:5])}"
    events = pd.DataFrame(rows, columns=["at", "event", "trial_id", "detail"])
    events["at"] = pd.to_datetime(events["at"], utc=True, format="ISO8601", errors="coerce")
    return events.astype({"event": "str", "trial_id": "str"})


def is_over(events: pd.DataFrame) -> bool:
    """Whether the study's last driver said that nothing runs any more."""
    told = events.loc[events["event"].isin([*BEGINS, *ENDS]), "event"]
    return bool(len(told)) and told.iloc[-1] in ENDS


def _parse(data: bytes, name: str, problems: dict[str, str]) -> Document | None:
    try:
        document = json.loads(data)
    except ValueError as error:
        problems[name] = f"is damaged: {error}"
        return None
    if not isinstance(document, dict):
        problems[name] = "is damaged: not a JSON object"
        return None
    refuse_newer(document.get("schema_version"))
    return document
