"""How replicates did on the examples that confirm: read when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from analysis.reading.metrics import Metrics
from study.files.documents import read_lines
from study.files.problems import Problem, Problems
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
    read = {
        (TRIALS_DIR, trial_id): read_lines(
            folder, ConfirmationRecord, problems, TRIALS_DIR, trial_id, CONFIRMATION_FILE
        )
        for trial_id in replicates
    }
    parts = usual_parts([record for records in read.values() for record in records], quality)
    rows = [
        record.model_dump()
        for place, records in read.items()
        for record in with_parts(records, quality, parts, problems, *place)
    ]
    figures = [metric.confirm_column for metric in metrics]
    columns = ["trial_id", "round", "seed", "examples", "groups", "held_back", *figures, *PARTS]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def usual_parts(records: Iterable[ConfirmationRecord], quality: MetricRecord) -> int:
    """Into how many parts most records divide the examples; 0 where there is no record."""
    counts = Counter(len(record.without.get(quality.name, ())) for record in records)
    del counts[0]
    return counts.most_common(1)[0][0] if counts else 0


def with_parts(
    records: Iterable[ConfirmationRecord],
    quality: MetricRecord,
    parts: int,
    problems: Problems,
    *place: str,
) -> list[ConfirmationRecord]:
    """The records of a run that have the quality and its so many parts; others are told of."""
    good, bad = [], []
    for record in records:
        own = record.without.get(quality.name, ())
        if len(own) != parts or not hasattr(record, quality.confirm_column):
            bad.append(Problem(f"round {record.round} lacks parts of {quality.name}", "without"))
        elif {len(record.part_examples), len(record.part_groups)} - {0, parts}:
            bad.append(Problem(f"round {record.round} has not {parts} of them", "part_examples"))
        else:
            good.append(record)
    problems.add("/".join((*place, CONFIRMATION_FILE)), bad)
    return good
