"""The rounds of all trials as one table: what the cache still knows, and the rest parsed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from analysis.reading.files.cache import read_cache, write_cache
from analysis.reading.files.lines import parse_batches
from analysis.reading.files.rules import Rules
from analysis.reading.files.schema import round_schema
from analysis.reading.files.trial_files import read_batches, stamps
from study.files.problems import Problem, Problems
from study.records import ROUNDS_FILE, TRIALS_DIR, MetricRecord, RoundRecord
from study.storage import Folder

WORTH_CACHING_BYTES = 1 << 23
"""Studies with less text are read as fast without a cache."""


_GROUP = 64
"""Trials that one thread reads in a go."""


def read_rounds(
    folder: Folder,
    ids: Sequence[str],
    metrics: Sequence[MetricRecord],
    problems: Problems,
    cache: bool | None,
    *,
    need_metrics: bool,
) -> pa.Table:
    """Every round of every trial without its layers, ordered by trial and round.

    Parameters
    ----------
    folder
        The study's folder.
    ids
        Its trials.
    metrics
        Those of its task.
    problems
        Files that could not be read are added here.
    cache
        Whether to keep a copy beside the study; None: where it pays.
    need_metrics
        Whether each round must have them all.
    """
    rules = Rules(RoundRecord, tuple(metrics), need_metrics)
    table = read_trials(folder, ids, "rounds", round_schema(metrics), rules, problems, cache)
    key = _order(table)
    # A round that is there twice counts as it was written last.
    again = np.flatnonzero(np.diff(key) == 0)
    if len(again):
        for place in dict.fromkeys(key[again].tolist()):
            file = f"{TRIALS_DIR}/{ids[place >> 32]}/{ROUNDS_FILE}"
            said = f"round: {place & 0xFFFFFFFF} is there more than once, and counts as the last"
            problems.add(file, [Problem(said)])
        table = table.filter(pa.array(~np.isin(np.arange(len(key)), again)))
    return table


def read_trials(
    folder: Folder,
    ids: Sequence[str],
    kind: str,
    schema: pa.Schema,
    rules: Rules,
    problems: Problems,
    cache: bool | None,
    then: Callable[[pa.Table], pa.Table] = lambda table: table,
    result: pa.Schema | None = None,
) -> pa.Table:
    """Rows of the trials, ordered by trial and round: cached where nothing changed, else parsed.

    Parameters
    ----------
    folder, ids, problems, cache
        As in :func:`read_rounds`.
    kind
        Name of the cache.
    schema, rules
        What to read of each line, and what it may be.
    then
        What to make of each table that was parsed.
    result
        Columns of what ``then`` makes, beside ``trial_id``; unset: ``schema``.
    """
    result = schema if result is None else result
    known = stamps(folder, ids, ROUNDS_FILE) if cache is not False else {}
    cached: pa.Table | None = None
    same: set[str] = set()
    if cache is not False:
        cached, same = read_cache(folder, kind, result, rules, known, problems)
    changed = [trial_id for trial_id in ids if trial_id not in same]
    new_problems = Problems()
    parsed, size = parse_trials(folder, changed, schema, rules, new_problems, then)
    problems.join(new_problems)
    tables = parsed if cached is None else [cached, *parsed]
    table = _in_order(pa.concat_tables(tables), ids) if tables else _empty(result)
    if cache or (cache is None and size >= WORTH_CACHING_BYTES):
        damaged = {name.split("/")[1] for name in new_problems}
        sound = {k: v for k, v in known.items() if k not in damaged}
        write_cache(folder, kind, table, sound, problems)
    return table


def parse_trials(
    folder: Folder,
    ids: Sequence[str],
    schema: pa.Schema,
    rules: Rules,
    problems: Problems,
    then: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> tuple[list[pa.Table], int]:
    """Parse the rounds of many trials, on all cores.

    Parameters
    ----------
    folder, ids
        The study and its trials.
    schema, rules
        What to read of each line, and what it may be.
    problems
        Files that could not be read are added here.
    then
        What to do with each table in the thread that parsed it.

    Returns
    -------
    tuple
        Tables in the order of the trials, and the bytes of text that they were.
    """

    def read(some: Sequence[str]) -> tuple[list[pa.Table], int]:
        size = 0
        tables = []
        for batch in read_batches(folder, some, ROUNDS_FILE, problems):
            size += sum(len(text) for _, text in batch)
            found = parse_batches([batch], schema, rules, ROUNDS_FILE, problems)
            tables += [then(each) for each in found]
        return tables, size

    groups = [ids[start : start + _GROUP] for start in range(0, len(ids), _GROUP)]
    # Arrow's own threads cost half as much again as one thread for each of several files.
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        parts = list(pool.map(read, groups))
    return [table for tables, _ in parts for table in tables], sum(size for _, size in parts)


def _empty(schema: pa.Schema) -> pa.Table:
    names = pa.dictionary(pa.int32(), pa.string())
    return schema.empty_table().add_column(0, "trial_id", pa.array([], names))


def _in_order(table: pa.Table, ids: Sequence[str]) -> pa.Table:
    """Rows by trial and round, with one dictionary of all trials."""
    table = table.unify_dictionaries()
    chunks = table["trial_id"].chunks
    known = chunks[0].dictionary.to_pylist() if chunks else []
    # The cache may name trials that are gone; no row is theirs.
    place = {trial_id: number for number, trial_id in enumerate(ids)}
    recode = np.array([place.get(name, -1) for name in known], dtype=np.int32)
    codes = np.concatenate([recode[chunk.indices.to_numpy()] for chunk in chunks] or [recode])
    names = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(ids, pa.string()))
    table = table.set_column(0, "trial_id", names)
    key = _order(table)
    if (np.diff(key) >= 0).all():
        return table
    return table.take(pa.array(np.argsort(key, kind="stable")))


def _order(table: pa.Table) -> np.ndarray:
    """A number for each row that grows with its trial and round."""
    chunks = table["trial_id"].chunks
    codes = [chunk.indices.to_numpy() for chunk in chunks] or [np.array([], dtype=np.int32)]
    key: np.ndarray = np.concatenate(codes).astype(np.int64) << 32 | table["round"].to_numpy()
    return key
