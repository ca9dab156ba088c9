"""How replicates did on the examples that confirm: read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.reading.files.records import read_records
from analysis.reading.metrics import Metrics
from study.records import CONFIRMATION_FILE, TRIALS_DIR
from study.storage import Folder


def read_confirmation(
    folder: Folder,
    study: str,
    replicates: Iterable[str],
    metrics: Metrics,
    problems: dict[str, str],
) -> pd.DataFrame:
    """One row a round of a replicate, its dense round included.

    Returns
    -------
    DataFrame
        study, trial_id (of the replicate), round, seed, examples, held_back (whether the search
        did not see these examples), ``confirm_NAME`` a metric, without (the study's quality, by
        name, without each part of the examples).
    """
    rows = [
        row
        for trial_id in replicates
        for row in read_records(folder, problems, TRIALS_DIR, trial_id, CONFIRMATION_FILE)
    ]
    figures = [metric.confirm_column for metric in metrics]
    columns = ["trial_id", "round", "seed", "examples", "held_back", *figures, "without"]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame
