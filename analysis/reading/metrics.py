"""By what the networks of a study are judged: its task's metrics, each with a column of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from study.errors import UsageError
from study.files.documents import read_document
from study.files.problems import Problems
from study.records import LOSS, TASK_FILE, MetricRecord, TaskRecord
from study.storage import Folder

Metrics = tuple[MetricRecord, ...]

CLASSIFIER: Metrics = (MetricRecord(name="accuracy", direction="max", unit="share"), LOSS)
"""Of studies from before tasks had metrics of their own."""


def read_metrics(folder: Folder, problems: Problems) -> tuple[Metrics, bool]:
    """The metrics of a study's task, and whether the study says them itself.

    Where it does not, they are those of a classifier.
    """
    task = read_document(folder, TaskRecord, problems, TASK_FILE)
    if task is None:
        return CLASSIFIER, False
    has_loss = any(metric.name == LOSS.name for metric in task.metrics)
    return (task.metrics if has_loss else (*task.metrics, LOSS)), True


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
