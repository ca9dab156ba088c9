"""By what the networks of a study are judged: its task's metrics, each with a column of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pydantic import ValidationError

from analysis.reading.files.documents import read_document
from study.errors import UsageError
from study.records import LOSS, TASK_FILE, MetricRecord, TaskRecord
from study.storage import Folder

Metrics = tuple[MetricRecord, ...]

CLASSIFIER: Metrics = (MetricRecord(name="accuracy", direction="max", unit="share"), LOSS)
"""Of studies from before tasks had metrics of their own."""


def read_metrics(folder: Folder, problems: dict[str, str]) -> Metrics:
    """The metrics of a study's task; those of a classifier where the study does not say."""
    document = read_document(folder, TASK_FILE, problems)
    if not document:
        return CLASSIFIER
    try:
        metrics = TaskRecord.model_validate(document).metrics
    except ValidationError as error:
        problems[TASK_FILE] = f"is damaged: {error.errors()[0]['msg']}"
        return CLASSIFIER
    has_loss = any(metric.name == LOSS.name for metric in metrics)
    return metrics if has_loss else (*metrics, LOSS)


def worse_by(metric: MetricRecord, before: pd.Series, after: pd.Series) -> pd.Series:
    """How much worse each value is than the one before it, in the metric's own unit."""
    return before - after if metric.direction == "max" else after - before


def shared_quality(qualities: Mapping[str, MetricRecord]) -> MetricRecord:
    """The metric that all studies are about.

    Raises
    ------
    UsageError
        If they are about different ones; it names the studies.
    """
    if len(set(qualities.values())) > 1:
        said = ", ".join(
            f"{study} by {metric.name} ({metric.direction}, {metric.unit})"
            for study, metric in qualities.items()
        )
        raise UsageError(
            f"the studies are judged by different metrics: {said}. Compare those of one metric."
        )
    return next(iter(qualities.values()))
