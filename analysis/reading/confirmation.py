"""How replicates did on the examples that confirm: read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.reading.metrics import Metrics
from study.documents import Problem, Problems, read_lines
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
    problems: Problems,
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
        for row in judged_in(folder, quality, problems, TRIALS_DIR, trial_id)
    ]
    figures = [metric.confirm_column for metric in metrics]
    columns = ["trial_id", "round", "seed", "examples", "groups", "held_back", *figures, *PARTS]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def judged_in(
    folder: Folder, quality: MetricRecord, problems: Problems, *place: str
) -> list[dict[str, Any]]:
    """The records of a run's file that have the quality and its parts."""
    rows, parts, bad = [], 0, []
    for record in read_lines(folder, ConfirmationRecord, problems, *place, CONFIRMATION_FILE):
        own = record.without.get(quality.name, ())
        parts = parts or len(own)
        row = record.model_dump()
        if not own or len(own) != parts or quality.confirm_column not in row:
            bad.append(Problem(f"round {record.round} lacks parts of {quality.name}", "without"))
        elif any(
            each and len(each) != parts for each in (record.part_examples, record.part_groups)
        ):
            bad.append(Problem(f"round {record.round} has not {parts} of them", "part_examples"))
        else:
            rows.append(row)
    problems.add("/".join((*place, CONFIRMATION_FILE)), bad)
    return rows
