"""Read study folders into tidy frames: local or behind a URI, running or ended."""

from __future__ import annotations

import io
import json
import os
import tomllib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from study.errors import UsageError
from study.records import (
    EVENTS_FILE,
    OUTCOME_FILE,
    PLAN_FILE,
    PROVENANCE_FILE,
    ROUNDS_FILE,
    SCHEMA_VERSION,
    SENSITIVITY_FILE,
    STUDY_FILE,
    TRIALS_DIR,
    LayerRecord,
    RoundRecord,
    SensitivityRecord,
)
from study.storage import Folder

_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string()}


class ProblemWarning(UserWarning):
    """A file of a study could not be read; the rest was."""


@dataclass(eq=False)
class Results:
    """What a study found.

    Parameters
    ----------
    name
        Name of the study, or of the studies.
    trials
        One row a trial: its plan, its status and how it ended.
    rounds
        One row a round of a trial, the dense round 0 included.
    events
        What happened to the study, in order.
    config
        The resolved study file.
    provenance
        Where and with what it ran.
    problems
        Files that could not be read, and why.
    """

    name: str
    trials: pd.DataFrame
    rounds: pd.DataFrame
    events: pd.DataFrame
    config: dict[str, Any]
    provenance: dict[str, Any]
    problems: dict[str, str]
    folders: tuple[Folder, ...] = field(repr=False)
    _layers: pa.Table = field(repr=False)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row a layer and round: trial_id, round, layer, kept, total, density, ..."""
        return _frame(_flat_layers(self._layers))

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """One row a level of a layer in the sensitivity scan; empty where none was made."""
        tables = [
            pq.read_table(io.BytesIO(folder.read(SENSITIVITY_FILE)))
            for folder in self.folders
            if folder.exists(SENSITIVITY_FILE)
        ]
        if tables:
            return _frame(pa.concat_tables(tables))
        columns = [name for name in SensitivityRecord.model_fields if name != "schema_version"]
        return pd.DataFrame(columns=columns)


def load(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Results:
    """Load one study, or several to compare.

    Parameters
    ----------
    path
        Folder of a study, local or a URI; or several. With several, trial ids are
        ``STUDY/ID``, and the column ``study`` of the frames tells them apart.

    Raises
    ------
    UsageError
        If a folder holds no study, or one of a newer version than this program reads.

    Warns
    -----
    ProblemWarning
        For each file that is damaged. A trial that still runs is no problem.
    """
    if isinstance(path, (str, os.PathLike)):
        return _load_one(Folder(path))
    parts = [_load_one(Folder(each)) for each in path]
    if len({part.name for part in parts}) < len(parts):
        raise UsageError(f"studies of one name: {', '.join(part.name for part in parts)}")
    for part in parts:
        for frame in (part.trials, part.rounds, part.events):
            frame["trial_id"] = part.name + "/" + frame["trial_id"].astype("str")
        index = part._layers.schema.get_field_index("trial_id")
        named = pc.binary_join_element_wise(part.name, part._layers["trial_id"], "/")
        part._layers = part._layers.set_column(index, "trial_id", named)
    return Results(
        name=" + ".join(part.name for part in parts),
        trials=pd.concat([part.trials for part in parts], ignore_index=True),
        rounds=pd.concat([part.rounds for part in parts], ignore_index=True),
        events=pd.concat([part.events for part in parts], ignore_index=True),
        config={part.name: part.config for part in parts},
        provenance={part.name: part.provenance for part in parts},
        problems={k: v for part in parts for k, v in part.problems.items()},
        folders=tuple(part.folders[0] for part in parts),
        _layers=pa.concat_tables([part._layers for part in parts]),
    )


def _load_one(folder: Folder) -> Results:
    if not folder.exists(STUDY_FILE):
        raise UsageError(f"{folder.location} holds no study: there is no {STUDY_FILE} in it.")
    config = tomllib.loads(folder.read(STUDY_FILE).decode())
    problems: dict[str, str] = {}
    ids = folder.folders(TRIALS_DIR)
    with ThreadPoolExecutor(16) as pool:
        plans = list(pool.map(lambda i: _json(folder, problems, TRIALS_DIR, i, PLAN_FILE), ids))
        ends = list(pool.map(lambda i: _json(folder, problems, TRIALS_DIR, i, OUTCOME_FILE), ids))
        lines = list(pool.map(lambda i: _whole_lines(folder, TRIALS_DIR, i, ROUNDS_FILE), ids))
    table = _rounds_table(dict(zip(ids, lines, strict=True)), problems)
    _refuse_newer(folder, table)
    rounds = _frame(table.drop_columns(["layers", "schema_version"]))
    trials = _trials(ids, plans, ends, rounds)
    last = rounds.groupby("trial_id")["round"].transform("max") == rounds["round"]
    reasons = rounds["trial_id"].map(trials.set_index("trial_id")["stop_reason"])
    rounds["stop_reason"] = reasons.where(last).astype("str")
    for frame in (trials, rounds):
        frame.insert(0, "study", config["study"]["name"])
    events = _whole_lines(folder, EVENTS_FILE)
    for file, problem in problems.items():
        warnings.warn(f"{file}: {problem}", ProblemWarning, stacklevel=3)
    return Results(
        name=config["study"]["name"],
        trials=trials,
        rounds=rounds,
        events=_events(events),
        config=config,
        provenance=_json(folder, problems, PROVENANCE_FILE) or {},
        problems=problems,
        folders=(folder,),
        _layers=table.select(["trial_id", "round", "layers"]),
    )


def _whole_lines(folder: Folder, *parts: str) -> bytes:
    """The file up to its last line break: what follows is still being written."""
    data = folder.read(*parts) if folder.exists(*parts) else b""
    return data[: data.rfind(b"\n") + 1]


def _json(folder: Folder, problems: dict[str, str], *parts: str) -> dict[str, Any] | None:
    if not folder.exists(*parts):
        return None
    try:
        document = json.loads(folder.read(*parts))
    except ValueError as error:
        problems["/".join(parts)] = f"is damaged: {error}"
        return None
    return document if isinstance(document, dict) else None


def _rounds_table(lines: dict[str, bytes], problems: dict[str, str]) -> pa.Table:
    everything = b"".join(lines.values())
    if not everything:
        return _schema().empty_table()
    try:
        return _parse(everything)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        tables = []
        for trial_id, text in lines.items():
            try:
                tables.append(_parse(text) if text else _schema().empty_table())
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                first = str(error).splitlines()[0]
                problems[f"{TRIALS_DIR}/{trial_id}/{ROUNDS_FILE}"] = f"is damaged: {first}"
        return pa.concat_tables(tables) if tables else _schema().empty_table()


def _parse(lines: bytes) -> pa.Table:
    options = pj.ParseOptions(explicit_schema=_schema(), unexpected_field_behavior="ignore")
    blocks = pj.ReadOptions(block_size=max(1 << 22, max(map(len, lines.splitlines())) + 2))
    table = pj.read_json(io.BytesIO(lines), parse_options=options, read_options=blocks)
    if table["trial_id"].null_count or table["round"].null_count:
        raise pa.ArrowInvalid("a line without trial_id or round")
    return table


def _schema() -> pa.Schema:
    """Arrow's schema of a round record, from the record itself."""

    def kind(annotation: Any) -> pa.DataType:
        return _ARROW.get(annotation, pa.float64())

    layer = pa.struct([(n, kind(f.annotation)) for n, f in LayerRecord.model_fields.items()])
    fields = []
    for name, info in RoundRecord.model_fields.items():
        if name == "layers":
            fields.append(pa.field(name, pa.list_(layer)))
        elif name in ("collapsed_layers", "uncounted"):
            fields.append(pa.field(name, pa.list_(pa.string())))
        else:
            fields.append(pa.field(name, kind(info.annotation)))
    return pa.schema(fields)


def _refuse_newer(folder: Folder, table: pa.Table) -> None:
    newest = pc.max(table["schema_version"]).as_py()
    if newest is not None and newest > SCHEMA_VERSION:
        raise UsageError(
            f"{folder.location} has records of schema version {newest}, and this program reads "
            f"up to {SCHEMA_VERSION}. Update prune-study."
        )


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _flat_layers(table: pa.Table) -> pa.Table:
    table = table.combine_chunks()
    column = table["layers"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else column
    parents = pc.list_parent_indices(column)
    flat = pc.list_flatten(column)
    names = list(LayerRecord.model_fields)
    return pa.table(
        {
            "trial_id": table["trial_id"].take(parents),
            "round": table["round"].take(parents),
            **{name: pc.struct_field(flat, name) for name in names},
        }
    )


def _trials(
    ids: list[str],
    plans: list[dict[str, Any] | None],
    ends: list[dict[str, Any] | None],
    rounds: pd.DataFrame,
) -> pd.DataFrame:
    rows = []
    for trial_id, plan, end in zip(ids, plans, ends, strict=True):
        end = end or {"status": "running"}
        rows.append(
            {
                "trial_id": trial_id,
                "status": end["status"],
                "stop_reason": end.get("stop_reason"),
                "error": end.get("error"),
                "started_at": end.get("started_at"),
                "finished_at": end.get("finished_at"),
                **{k: v for k, v in (plan or {}).items() if k not in ("include", "exclude")},
            }
        )
    columns = ["trial_id", "status", "stop_reason", "error", "started_at", "finished_at"]
    trials = pd.DataFrame(rows, columns=None if rows else columns)
    finished = rounds.sort_values("round").groupby("trial_id").last()
    for column in ("density", "val_accuracy", "train_epochs", "train_samples", "wall_s"):
        trials[column] = trials["trial_id"].map(finished[column])
    trials["rounds_finished"] = trials["trial_id"].map(finished["round"]).fillna(0).astype(int)
    for column in ("stop_reason", "error", "started_at", "finished_at"):
        trials[column] = trials[column].astype("str")
    return trials


def _events(lines: bytes) -> pd.DataFrame:
    rows = []
    for line in lines.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue  # torn by a crash; the next line began anew
    columns = ["at", "event", "trial_id", "detail"]
    return pd.DataFrame(rows, columns=columns).astype({"event": "str", "trial_id": "str"})
