"""One row a trial: its plan, how it ended, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.reading.structures import structure_text
from study.records import FIRST_TRIAL, MetricRecord, PlanRecord, TrialOutcome

PLAN_COLUMNS = {
    "sparsity": "float64",
    "allocation": "str",
    "threshold": "float64",
    "budget": "str",
    "cost": "str",
    "cost_exponent": "float64",
    "saliency": "str",
    "structure": "str",
    "unit_sparsity": "float64",
    "schedule": "str",
    "rounds": "Int64",
    "retrain": "str",
    "rewind_epoch": "float64",
    "retrain_epochs": "float64",
    "retrain_lr": "float64",
    "retrain_lr_schedule": "str",
    "optimizer_state": "str",
    "layer_floor": "float64",
    "seed": "Int64",
}
"""Fields of a plan and their types; a table of sparsities or of offsets is one more column for each
layer, and one of structures is told in words."""

BY_LAYER = ("sparsity.", "score_offset.")
"""What the names of columns of layers begin with."""

END_COLUMNS = ("stage", "status", "stop_reason", "error", "started_at", "finished_at")

AUDIT_COLUMNS = ("audited", "reached_front")
"""Of trials that were to be stopped: whether they ran on, and if so, whether they did join the
front."""

SIZE_COLUMNS = (
    "density",
    "compression_ratio",
    "theoretical_speedup",
    "speedup_measured",
    "latency_ms",
)

COST_COLUMNS = ("train_epochs", "train_samples", "wall_s")
"""Like those of size and of the metrics between them, of a trial's last round."""


def trials_frame(
    ids: Sequence[str],
    plans: Sequence[PlanRecord | None],
    outcomes: Sequence[TrialOutcome | None],
    rounds: pa.Table,
    metrics: Sequence[MetricRecord],
    is_over: bool,
) -> pd.DataFrame:
    """Join plans, outcomes and last rounds.

    A trial without an outcome has the status ``"running"``: it runs, or its study was killed. Once
    the study is over it is ``"lost"``: nobody wrote how it ended.
    """
    unended = "lost" if is_over else "running"
    columns: dict[str, Any] = {"trial_id": pd.Series(list(ids), dtype="str")}
    for name in END_COLUMNS:
        told = [getattr(outcome, name, None) for outcome in outcomes]
        columns[name] = pd.Series(told, dtype="str")
    columns["status"] = columns["status"].fillna(unended)
    for name in AUDIT_COLUMNS:
        details = [getattr(outcome, "stop_detail", None) or {} for outcome in outcomes]
        audits = [detail.get(name) for detail in details]
        columns[name] = pd.Series(audits, dtype="boolean")
    for name, dtype in PLAN_COLUMNS.items():
        values = [None if plan is None else _scalar(name, getattr(plan, name)) for plan in plans]
        columns[name] = pd.Series(values, dtype=dtype)
    columns |= _by_layer("sparsity.", [getattr(plan, "sparsity", None) for plan in plans], np.nan)
    offsets = [None if plan is None else plan.score_offsets for plan in plans]
    columns |= _by_layer("score_offset.", offsets, 0.0)
    frame = pd.DataFrame(columns)
    for name in ("started_at", "finished_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601", errors="coerce")
    last, has = last_rows(rounds, len(ids))
    finished = np.zeros(len(ids), dtype=np.int64)
    finished[has] = rounds["round"].to_numpy()[last]
    frame["rounds_finished"] = finished
    for name in (*SIZE_COLUMNS, *(metric.column for metric in metrics), *COST_COLUMNS):
        figures = np.full(len(ids), np.nan)
        figures[has] = rounds[name].to_numpy()[last]
        frame[name] = figures
    return frame


def is_textbook(trials: pd.DataFrame, config: Mapping[str, Any]) -> pd.Series:
    """Whether each trial is the textbook run: the first of a study that begins with one."""
    begins = config.get("search", {}).get("textbook") is True  # older studies do not
    return (trials["trial_id"] == FIRST_TRIAL) & begins


def last_rows(rounds: pa.Table, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in an ordered table each trial's last round is, and which trials have one."""
    codes = trial_codes(rounds)
    ends = np.append(np.flatnonzero(np.diff(codes)), len(codes) - 1) if len(codes) else codes
    has = np.zeros(trials, dtype=bool)
    has[codes[ends]] = True
    return ends, has


def trial_codes(table: pa.Table) -> np.ndarray:
    """Number of each row's trial."""
    column = table["trial_id"].combine_chunks()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    codes = [np.asarray(chunk.indices) for chunk in chunks]
    return np.concatenate(codes) if codes else np.array([], dtype=np.int32)


def _scalar(name: str, value: Any) -> Any:
    if name == "structure":
        return structure_text(value)
    return None if isinstance(value, (dict, list)) else value


def _by_layer(
    prefix: str, tables: Sequence[Mapping[str, float] | float | None], unnamed: float
) -> dict[str, np.ndarray]:
    """A column for each layer; ``unnamed`` is what those have that a plan's table leaves out."""
    by_row = {row: table for row, table in enumerate(tables) if isinstance(table, Mapping)}
    columns: dict[str, np.ndarray] = {}
    for layer in dict.fromkeys(layer for table in by_row.values() for layer in table):
        column = columns[f"{prefix}{layer}"] = np.full(len(tables), np.nan)
        for row, table in by_row.items():
            column[row] = table.get(layer, unnamed)
    return columns
