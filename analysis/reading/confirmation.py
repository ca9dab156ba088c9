"""How replicates did on the examples that confirm: read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from pydantic import ValidationError

from analysis.reading.files.records import read_records
from analysis.reading.metrics import Metrics
from study.records import CONFIRMATION_FILE, TRIALS_DIR, ConfirmationRecord, MetricRecord
from study.storage import Folder

PARTS = ("without", "part_examples", "part_groups")
"""Columns of what a record says of the parts of its examples."""


def read_confirmation(
    folder: Folder,
    study: str,
    replicates: Iterable[str],
    metrics: Metrics,
    quality: MetricRecord,
    problems: dict[str, str],
) -> pd.DataFrame:
    """One row a round of a replicate, its dense round included.

    Returns
    -------
    DataFrame
        study, trial_id (of the replicate), round, seed, examples, groups (of them), held_back
        (whether the search did not see these examples), ``confirm_NAME`` a metric, without (the
        study's quality, by name, without each part of the examples), part_examples and part_groups
        (of these parts; empty where they are alike).
    """
    rows = [
        row
        for trial_id in replicates
        for row in _judged(folder, f"{TRIALS_DIR}/{trial_id}", quality, problems)
    ]
    figures = [metric.confirm_column for metric in metrics]
    columns = ["trial_id", "round", "seed", "examples", "groups", "held_back", *figures, *PARTS]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def _judged(
    folder: Folder, place: str, quality: MetricRecord, problems: dict[str, str]
) -> list[dict[str, Any]]:
    """The records of a file, as far as they are whole: each with the quality and its parts."""
    records, parts = [], 0
    for row in read_records(folder, problems, *place.split("/"), CONFIRMATION_FILE):
        try:
            record = ConfirmationRecord.model_validate(row)
        except ValidationError as error:
            problems[f"{place}/{CONFIRMATION_FILE}"] = f"is damaged: {error.errors()[0]['msg']}"
            continue
        own = record.without.get(quality.name, ())
        parts = parts or len(own)
        if not own or len(own) != parts or quality.confirm_column not in row:
            problems[f"{place}/{CONFIRMATION_FILE}"] = (
                f"is damaged: it lacks parts of {quality.name}"
            )
            continue
        records.append(record.model_dump())
    return records
