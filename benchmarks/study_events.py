"""When things happened in a study, as its driver saw them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path


def times_of(folder: Path, event: str) -> list[float]:
    """Seconds since 1970 of all events of a name, in order."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [datetime.fromisoformat(e["at"]).timestamp() for e in events if e["event"] == event]
