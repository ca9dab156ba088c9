"""Controls beside replicates, and what the test split said: read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.reading.files.records import read_records
from analysis.reading.metrics import Metrics
from study.records import (
    CONTROLS_DIR,
    ORIGIN_FILE,
    REPLICATE,
    ROUNDS_FILE,
    TEST_FILE,
    TRIALS_DIR,
)
from study.storage import Folder


def read_controls(
    folder: Folder, study: str, metrics: Metrics, problems: dict[str, str]
) -> pd.DataFrame:
    """One row a control: the last round that it was to reach, beside its replicate's name."""
    rows = []
    for name in folder.folders(CONTROLS_DIR):
        place = f"{CONTROLS_DIR}/{name}"
        if not folder.exists(CONTROLS_DIR, name, ORIGIN_FILE):
            continue  # still being made
        origin = read_records(folder, problems, CONTROLS_DIR, name, ORIGIN_FILE)
        rounds = read_records(folder, problems, CONTROLS_DIR, name, ROUNDS_FILE)
        if origin and rounds and rounds[-1].get("round") == origin[0].get("round"):
            own = {key: origin[0].get(key) for key in ("role", "of", "replicate")}
            rows.append({**rounds[-1], **own, "control": name})
        elif origin and rounds and place not in problems:
            problems[place] = f"ended before round {origin[0].get('round')}"
    figures = [metric.column for metric in metrics]
    columns = ["control", "role", "of", "replicate", "seed", "round", "density", *figures]
    frame = pd.DataFrame(rows, columns=[*columns, "train_epochs", "train_samples"])
    frame = frame.astype(dict.fromkeys(["density", *figures], "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def replicates_among(folder: Folder, ids: Sequence[str], problems: dict[str, str]) -> pd.Series:
    """Of which trial each one is a replicate; missing for those that the search asked for."""
    of: list[str | None] = []
    for name in ids:
        origin = []
        if REPLICATE in name:  # the others need not be looked at: a study may have thousands
            origin = read_records(folder, problems, TRIALS_DIR, name, ORIGIN_FILE)
        of.append(origin[0].get("of") if origin else None)
    return pd.Series(of, dtype="str")


def read_held_out(
    folder: Folder, study: str, metrics: Metrics, problems: dict[str, str]
) -> pd.DataFrame:
    """One row a network whose test figures were read: trial_id, round, ``test_NAME`` a metric."""
    rows = read_records(folder, problems, TEST_FILE) if folder.exists(TEST_FILE) else []
    figures = [metric.test_column for metric in metrics]
    frame = pd.DataFrame(
        rows, columns=["trial_id", "round", *figures, "examples", "without", "read_at"]
    )
    frame = frame.astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def add_test_figures(
    rounds: pd.DataFrame, folder: Folder, metrics: Metrics, problems: dict[str, str]
) -> pd.DataFrame:
    """The same rounds; those whose networks were read on the test split have its figures."""
    if not folder.exists(TEST_FILE):
        return rounds
    read = read_held_out(folder, "", metrics, problems)
    read = read.drop_duplicates(["trial_id", "round"], keep="last")
    figures = read.set_index(["trial_id", "round"])[[metric.test_column for metric in metrics]]
    keys = pd.MultiIndex.from_frame(rounds[["trial_id", "round"]])
    return rounds.assign(**{str(name): figures[name].reindex(keys).to_numpy() for name in figures})
