"""Controls beside replicates, and what the test split said: read when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.reading.files.lines import whole_lines
from analysis.reading.files.problems import refuse_newer
from study.records import (
    CONTROLS_DIR,
    ORIGIN_FILE,
    REPLICATE,
    ROUNDS_FILE,
    TEST_FILE,
    TRIALS_DIR,
)
from study.storage import Folder

CONTROL_COLUMNS = ("control", "role", "of", "replicate", "seed", "round", "density",
                   "val_accuracy", "val_loss", "train_epochs", "train_samples")  # fmt: skip

TEST_COLUMNS = ("trial_id", "round", "test_accuracy", "test_loss", "examples", "read_at")


def read_controls(folder: Folder, study: str, problems: dict[str, str]) -> pd.DataFrame:
    """One row a control: the last round that it was to reach, beside its replicate's name."""
    rows = []
    for name in folder.folders(CONTROLS_DIR):
        place = f"{CONTROLS_DIR}/{name}"
        if not folder.exists(CONTROLS_DIR, name, ORIGIN_FILE):
            continue  # still being made
        origin = _records(folder, problems, CONTROLS_DIR, name, ORIGIN_FILE)
        rounds = _records(folder, problems, CONTROLS_DIR, name, ROUNDS_FILE)
        if origin and rounds and rounds[-1].get("round") == origin[0].get("round"):
            own = {key: origin[0].get(key) for key in ("role", "of", "replicate")}
            rows.append({**rounds[-1], **own, "control": name})
        elif origin and rounds and place not in problems:
            problems[place] = f"ended before round {origin[0].get('round')}"
    frame = pd.DataFrame(rows, columns=list(CONTROL_COLUMNS))
    frame = frame.astype({"val_accuracy": "float64", "val_loss": "float64", "density": "float64"})
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def replicates_among(folder: Folder, ids: Sequence[str], problems: dict[str, str]) -> pd.Series:
    """Of which trial each one is a replicate; missing for those that the search asked for."""
    of: list[str | None] = []
    for name in ids:
        origin = []
        if REPLICATE in name:  # the others need not be looked at: a study may have thousands
            origin = _records(folder, problems, TRIALS_DIR, name, ORIGIN_FILE)
        of.append(origin[0].get("of") if origin else None)
    return pd.Series(of, dtype="str")


def read_held_out(folder: Folder, study: str, problems: dict[str, str]) -> pd.DataFrame:
    """One row a network whose test figures were read: trial_id, round, test_accuracy, test_loss."""
    rows = _records(folder, problems, TEST_FILE) if folder.exists(TEST_FILE) else []
    frame = pd.DataFrame(rows, columns=list(TEST_COLUMNS))
    frame = frame.astype({"test_accuracy": "float64", "test_loss": "float64"})
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def add_test_figures(
    rounds: pd.DataFrame, folder: Folder, problems: dict[str, str]
) -> pd.DataFrame:
    """The same rounds; those whose networks were read on the test split have its accuracy."""
    if not folder.exists(TEST_FILE):
        return rounds
    read = read_held_out(folder, "", problems).drop_duplicates(["trial_id", "round"], keep="last")
    accuracy = read.set_index(["trial_id", "round"])["test_accuracy"]
    keys = pd.MultiIndex.from_frame(rounds[["trial_id", "round"]])
    found = pd.Series(accuracy.reindex(keys).to_numpy(), index=rounds.index)
    return rounds.assign(test_accuracy=found.fillna(rounds["test_accuracy"]))


def _records(folder: Folder, problems: dict[str, str], *parts: str) -> list[dict[str, Any]]:
    """The objects of a file: one document, or one a line."""
    if not folder.exists(*parts):
        return []
    text = folder.read(*parts)
    lines = [text] if parts[-1] == ORIGIN_FILE else whole_lines(text).splitlines()
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
