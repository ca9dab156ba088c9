"""The sensitivity scan of a study."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.reading.files.rules import Rules, check_rows
from analysis.reading.files.schema import sensitivity_schema
from analysis.reading.metrics import Metrics, worse_by
from study.files.documents import noted, refuse
from study.files.problems import Problem, Problems, problem_of
from study.records import (
    SENSITIVITY_FILE,
    TRIALS_DIR,
    MetricRecord,
    SensitivityRecord,
    round_sensitivity_file,
)
from study.storage import Folder

MOST_SCAN_BYTES = 1 << 30
"""Size up to which a scan is read, unpacked: a small file may claim to hold much more."""


def read_sensitivity(
    folder: Folder,
    name: str,
    metrics: Metrics,
    quality: MetricRecord,
    rounds: pd.DataFrame,
    problems: Problems,
) -> pd.DataFrame:
    """One row a level of a layer; no row where no scan was made.

    A scan has the drops of its task's quality. Where the study is about another metric, its drops
    are against the dense network of the seed: its round 0, or a level that took nothing.
    """
    frame: pd.DataFrame = sensitivity_schema(metrics, quality).empty_table().to_pandas()
    found = None
    with noted(problems, SENSITIVITY_FILE):
        if folder.exists(SENSITIVITY_FILE):
            found = _read_scan(folder, metrics, quality, problems, SENSITIVITY_FILE)
    if found is not None:
        frame = found
    frame = frame.drop(columns="schema_version", errors="ignore")
    if quality.drop_column not in frame:
        frame[quality.drop_column] = _drops(frame, quality, rounds)
    frame.insert(0, "study", pd.Series(name, index=frame.index, dtype="str"))
    return frame


def _read_scan(
    folder: Folder, metrics: Metrics, quality: MetricRecord, problems: Problems, *parts: str
) -> pd.DataFrame:
    """The rows of a scan that are as its record says."""
    with folder.open(*parts) as stream:
        file = pq.ParquetFile(io.BytesIO(stream.read()))
    groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > MOST_SCAN_BYTES:
        raise ValueError(f"it would take {size:,} bytes; it is read up to {MOST_SCAN_BYTES:,}")
    table = file.read()
    table.validate(full=True)
    needed = {name for name, field in SensitivityRecord.model_fields.items() if field.is_required()}
    missing = sorted((needed | {quality.column}) - set(table.column_names))
    if missing:
        raise ValueError(f"{missing[0]}: is missing")
    for field in sensitivity_schema(metrics, quality):
        if field.name in table.column_names:
            table = _of_type(table, field)
    rules = Rules(SensitivityRecord, metrics)
    if not rules.hold(table):
        errors = check_rows(table.to_pylist(), rules)
        bad = [(row, problem_of(error)) for row, error in enumerate(errors, 1) if error is not None]
        told = [Problem(problem.reason, problem.field, row) for row, problem in bad]
        problems.add("/".join(parts), told, "row")
        table = table.filter(pa.array([error is None for error in errors], pa.bool_()))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _of_type(table: pa.Table, field: pa.Field) -> pa.Table:
    """With a column of the type that the record says; whole numbers may be floats."""
    place = table.column_names.index(field.name)
    try:
        given = table[place].type
        if not pa.types.is_null(given) and _is_text(given) != _is_text(field.type):
            raise TypeError
        return table.set_column(place, field.name, table[place].cast(field.type))
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{field.name}: is of type {table[place].type}") from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _drops(frame: pd.DataFrame, quality: MetricRecord, rounds: pd.DataFrame) -> pd.Series:
    found = frame[quality.column]
    dense = rounds[rounds["round"] == 0].groupby("seed")[quality.column].first()
    untouched = frame[frame["sparsity"] == 0].groupby("seed")[quality.column].mean()
    before = frame["seed"].map(dense.combine_first(untouched)).astype("float64")
    return worse_by(quality, before, found)


def read_conditional(
    folder: Folder, trial_id: str, round_: int | None, metrics: Metrics, quality: MetricRecord
) -> tuple[pd.DataFrame | None, list[int]]:
    """A scan that starts from a trial's masks, and the rounds that there are scans of.

    Raises
    ------
    UsageError
        If the file of the scan is damaged; it names the file.
    """
    trial = trial_id.rpartition("/")[2]
    present = set(folder.files(TRIALS_DIR, trial))
    most = len(present)  # a round has a file of its weights too
    scanned = [each for each in range(1, most + 1) if round_sensitivity_file(each) in present]
    chosen = max(scanned, default=None) if round_ is None else round_
    if chosen not in scanned:
        return None, scanned
    problems = Problems()
    place = (TRIALS_DIR, trial, round_sensitivity_file(int(chosen)))
    found = None
    with noted(problems, *place):
        found = _read_scan(folder, metrics, quality, problems, *place)
    refuse(folder, problems)
    return found, scanned
