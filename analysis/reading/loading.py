"""Read study folders into tidy frames: local or behind a URI, running or ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.reading.controls import add_test_figures, replicates_among
from analysis.reading.files.completeness import compare_with_outcomes, is_trial, trial_names
from analysis.reading.files.documents import is_over, read_documents, read_events
from analysis.reading.files.study_file import read_study_file
from analysis.reading.files.trial_lines import read_rounds
from analysis.reading.metrics import Metrics, read_metrics
from analysis.reading.names import distinct_names
from analysis.reading.results import Results, name_study
from analysis.reading.trials import is_textbook, last_rows, trials_frame
from study.errors import UsageError
from study.files.documents import read_document, read_lines
from study.files.problems import Problems
from study.records import (
    JOURNAL_FILE,
    OUTCOME_FILE,
    PLAN_FILE,
    PROVENANCE_FILE,
    JournalLine,
    PlanRecord,
    Provenance,
    TrialOutcome,
)
from study.storage import Folder

__all__ = ["Results", "load"]

_FIRST_COLUMNS = (
    "study",
    "trial_id",
    "round",
    "density",
    "sparsity",
    "requested_sparsity",
    "compression_ratio",
    "theoretical_speedup",
    "speedup_measured",
    "macs",
    "nonzero_parameters",
    "latency_ms",
)

_THEN_COLUMNS = (
    "train_epochs",
    "wall_s",
    "stop_reason",
    "mask_hash",
    "seed",
    "train_samples",
    "finished_at",
)
"""After the metrics."""


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    cache: bool | None = None,
) -> Results:
    """Load one study, or several to compare.

    Parameters
    ----------
    path
        Folder of a study, local or a URI; or several. With several, trial ids are ``STUDY/ID``,
        and the column ``study`` of the frames tells the studies apart.
    cache
        Whether to keep the parsed rounds beside the study, in ``analysis_cache/``. None: where
        the study is so large that it pays. A cache is never older than the files: trials that
        changed since are read anew. Where the folder cannot be written to there is none.

    Raises
    ------
    UsageError
        If a folder holds no study, its study file is damaged, or it has records of a newer
        schema version than this program reads.

    Warns
    -----
    ProblemWarning
        For each damaged file; the rest is loaded, and ``results.problems`` names them. A trial
        that still runs, and a last line that is half written, are no problem.

    Examples
    --------
    >>> results = analysis.load("studies/digits-mlp")  # doctest: +SKIP
    >>> results.rounds[["trial_id", "round", "density", "val_accuracy"]]  # doctest: +SKIP
    """
    single = isinstance(path, (str, os.PathLike))
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if not paths:
        raise UsageError("no study to load: the list of folders is empty")
    parts = [_load_one(Folder(each), cache) for each in paths]
    for part in parts:
        part.problems.warn(part.name)
    if single:
        return parts[0]
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        names = distinct_names([part.folders[0].location for part in parts])
    return _together(dict(zip(names, parts, strict=True)))


def _load_one(folder: Folder, cache: bool | None) -> Results:
    config = read_study_file(folder)
    name = str(config.get("study", {}).get("name", folder.name))
    problems = Problems()
    metrics, are_said = read_metrics(folder, problems)
    folders = trial_names(folder, problems)
    # Outcomes before rounds: what ends in between has more rounds than expected, not fewer.
    plans = read_documents(folder, folders, PlanRecord, PLAN_FILE, problems)
    outcomes = read_documents(folder, folders, TrialOutcome, OUTCOME_FILE, problems)
    trials_and_documents = [
        each
        for each in zip(folders, plans, outcomes, strict=True)
        if is_trial(folder, *each, problems)
    ]
    ids = [trial_id for trial_id, _, _ in trials_and_documents]
    plans = [plan for _, plan, _ in trials_and_documents]
    outcomes = [outcome for _, _, outcome in trials_and_documents]
    table = read_rounds(folder, ids, metrics, problems, cache, need_metrics=are_said)
    events = read_events(folder, problems)
    read_lines(folder, JournalLine, problems, JOURNAL_FILE)  # none of it is shown, but what it lost
    trials = trials_frame(ids, plans, outcomes, table, metrics, is_over(events))
    trials["replicate_of"] = replicates_among(folder, ids, problems)
    trials["is_textbook"] = is_textbook(trials, config)
    reached = np.where(trials["density"].notna(), trials["rounds_finished"], -1)
    compare_with_outcomes(ids, plans, outcomes, reached, problems)
    trials.insert(0, "study", pd.Series(name, index=trials.index, dtype="str"))
    provenance = read_document(folder, Provenance, problems, PROVENANCE_FILE)
    return Results(
        name=name,
        trials=trials,
        rounds=add_test_figures(
            _rounds_frame(table, trials, name, metrics), folder, metrics, problems
        ),
        events=events,
        config=config,
        provenance={} if provenance is None else provenance.model_dump(),
        problems=problems,
        folders=(folder,),
        metrics=metrics,
        cache=cache,
    )


def _rounds_frame(
    table: pa.Table, trials: pd.DataFrame, name: str, metrics: Metrics
) -> pd.DataFrame:
    reasons = np.full(table.num_rows, None, dtype=object)
    last, has = last_rows(table, len(trials))
    reasons[last] = trials["stop_reason"].to_numpy(dtype=object)[has]
    columns: dict[str, Any] = {
        "study": pa.repeat(pa.scalar(name), table.num_rows),
        "stop_reason": pa.array(reasons, pa.string(), from_pandas=True),
    }
    for column in table.column_names:
        values = table[column]
        if pa.types.is_dictionary(values.type):
            values = values.cast(pa.string())
        elif pa.types.is_list(values.type):
            values = pc.binary_join(values, ", ")
        elif column == "finished_at":
            values = _timestamps(values)
        columns[column] = values
    of_metrics = [metric.column for metric in metrics]
    # On the test split a few networks are read at the end; of the others it is not known.
    unread = pa.nulls(table.num_rows, pa.float64())
    columns |= {metric.test_column: unread for metric in metrics}
    of_metrics += [metric.test_column for metric in metrics]
    order = [each for each in (*_FIRST_COLUMNS, *of_metrics, *_THEN_COLUMNS) if each in columns]
    order += [each for each in columns if each not in order and each != "schema_version"]
    arranged = pa.table({each: columns.pop(each) for each in order})
    frame: pd.DataFrame = arranged.to_pandas()
    return frame


def _timestamps(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = pa.timestamp("ms", tz="UTC")
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        parsed = pd.to_datetime(texts.to_pandas(), utc=True, format="ISO8601", errors="coerce")
        return pa.chunked_array([pa.array(parsed, kind)])


def _union(several: Iterable[Metrics]) -> Metrics:
    return tuple(dict.fromkeys(metric for metrics in several for metric in metrics))


def _together(parts: Mapping[str, Results]) -> Results:
    def joined(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        named = [name_study(frame, name) for name, frame in frames.items()]
        filled = [frame for frame in named if len(frame)]
        return pd.concat(filled, ignore_index=True) if filled else named[0]

    results = list(parts.values())
    return Results(
        name=" + ".join(parts),
        trials=joined({name: part.trials for name, part in parts.items()}),
        rounds=joined({name: part.rounds for name, part in parts.items()}),
        events=joined({name: part.events for name, part in parts.items()}),
        config={name: part.config for name, part in parts.items()},
        provenance={name: part.provenance for name, part in parts.items()},
        problems=Problems(
            (f"{name}/{file}", text)
            for name, part in parts.items()
            for file, text in part.problems.items()
        ),
        folders=tuple(part.folders[0] for part in results),
        metrics=_union(part.metrics for part in results),
        parts=dict(parts),
    )
