"""The sensitivity scan of a study."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.reading.files.problems import refuse_newer
from analysis.reading.files.schema import sensitivity_schema
from analysis.reading.metrics import Metrics, worse_by
from study.records import (
    SENSITIVITY_FILE,
    TRIALS_DIR,
    MetricRecord,
    round_sensitivity_file,
)
from study.storage import Folder


def read_sensitivity(
    folder: Folder,
    name: str,
    metrics: Metrics,
    quality: MetricRecord,
    rounds: pd.DataFrame,
    problems: dict[str, str],
) -> pd.DataFrame:
    """One row a level of a layer; no row where no scan was made.

    A scan has the drops of its task's quality. Where the study is about another metric, its drops
    are against the dense network of the seed: its round 0, or a level that took nothing.
    """
    schema = sensitivity_schema(metrics, quality)
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    if folder.exists(SENSITIVITY_FILE):
        try:
            frame = pq.read_table(io.BytesIO(folder.read(SENSITIVITY_FILE))).to_pandas()
        except (pa.ArrowException, OSError) as error:
            problems[SENSITIVITY_FILE] = f"is damaged: {str(error).splitlines()[0]}"
    if len(frame) and "schema_version" in frame:
        refuse_newer(int(frame["schema_version"].max()))
    frame = frame.drop(columns="schema_version", errors="ignore")
    if quality.drop_column not in frame:
        frame[quality.drop_column] = _drops(frame, quality, rounds)
    frame.insert(0, "study", pd.Series(name, index=frame.index, dtype="str"))
    return frame


def _drops(frame: pd.DataFrame, quality: MetricRecord, rounds: pd.DataFrame) -> pd.Series:
    found = frame[quality.column]
    dense = rounds[rounds["round"] == 0].groupby("seed")[quality.column].first()
    untouched = frame[frame["sparsity"] == 0].groupby("seed")[quality.column].mean()
    before = frame["seed"].map(dense.combine_first(untouched)).astype("float64")
    return worse_by(quality, before, found)


def read_conditional(
    folder: Folder, trial_id: str, round_: int | None
) -> tuple[pd.DataFrame | None, list[int]]:
    """A scan that starts from a trial's masks, and the rounds that there are scans of."""
    trial = trial_id.rpartition("/")[2]
    present = set(folder.files(TRIALS_DIR, trial))
    most = len(present)  # a round has a file of its weights too
    scanned = [each for each in range(1, most + 1) if round_sensitivity_file(each) in present]
    chosen = max(scanned, default=None) if round_ is None else round_
    if chosen not in scanned:
        return None, scanned
    data = folder.read(TRIALS_DIR, trial, round_sensitivity_file(int(chosen)))
    return pq.read_table(io.BytesIO(data)).to_pandas(), scanned
