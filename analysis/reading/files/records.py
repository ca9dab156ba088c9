"""Small files of records, read whole."""

from __future__ import annotations

import json
from typing import Any

from analysis.reading.files.lines import whole_lines
from analysis.reading.files.problems import refuse_newer
from study.records import ORIGIN_FILE, OUTCOME_FILE
from study.storage import Folder


def read_records(folder: Folder, problems: dict[str, str], *parts: str) -> list[dict[str, Any]]:
    """The objects of a file: one document, or one a line; those that cannot be read are told of."""
    if not folder.exists(*parts):
        return []
    text = folder.read(*parts)
    is_document = parts[-1] in (ORIGIN_FILE, OUTCOME_FILE)
    lines = [text] if is_document else whole_lines(text).splitlines()
    records, bad = [], []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            refuse_newer(record.get("schema_version"))
            records.append(record)
        else:
            bad.append(str(number))
    if bad:
        problems["/".join(parts)] = f"cannot be read in line {', '.join(bad[:5])}"
    return records
