"""The sensitivity scan of a study."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.reading.files.problems import refuse_newer
from analysis.reading.files.schema import sensitivity_schema
from study.records import SENSITIVITY_FILE, TRIALS_DIR, round_sensitivity_file
from study.storage import Folder


def read_sensitivity(folder: Folder, name: str, problems: dict[str, str]) -> pd.DataFrame:
    """One row a level of a layer; no row where no scan was made."""
    schema = sensitivity_schema()
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    if folder.exists(SENSITIVITY_FILE):
        try:
            frame = pq.read_table(io.BytesIO(folder.read(SENSITIVITY_FILE))).to_pandas()
        except (pa.ArrowException, OSError) as error:
            problems[SENSITIVITY_FILE] = f"is damaged: {str(error).splitlines()[0]}"
    if len(frame) and "schema_version" in frame:
        refuse_newer(int(frame["schema_version"].max()))
    frame = frame.drop(columns="schema_version", errors="ignore")
    frame.insert(0, "study", pd.Series(name, index=frame.index, dtype="str"))
    return frame


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
