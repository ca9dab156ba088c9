"""JSON lines of many trials to one Arrow table: fast when all is well, by line when it is not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from analysis.reading.files.problems import refuse_newer

_BLOCK_BYTES = 1 << 20
"""Text parsed at a time; more where a file is longer, as no line may straddle."""


def parse_batches(
    batches: Iterable[list[tuple[str, bytes]]],
    schema: pa.Schema,
    file: str,
    problems: dict[str, str],
) -> Iterator[pa.Table]:
    """Parse the lines of many trials.

    Each batch gives one table with the columns of ``schema`` and ``trial_id``, a dictionary. A
    last line without a line break is taken when it is whole, and otherwise left: it is still
    being written. Any other line that cannot be read is left out and told of in ``problems``.

    Parameters
    ----------
    batches
        Trial and content of its file.
    schema
        Fields to read; others are skipped, and missing ones are null. One of them is ``round``.
    file
        Name of the file in the trial's folder, for the messages.
    problems
        What could not be read is added here.

    Raises
    ------
    UsageError
        If a record is of a newer schema version than this program reads.
    """
    for batch in batches:
        texts = [(trial_id, whole_lines(data)) for trial_id, data in batch]
        counts = [text.count(b"\n") for _, text in texts]
        longest = max((len(text) for _, text in texts), default=0)
        table = _parse(b"".join([text for _, text in texts]), schema, longest)
        if table is not None and table.num_rows == sum(counts):
            yield _name_trials(table, [trial_id for trial_id, _ in texts], counts)
            continue
        for trial_id, text in texts:
            table = _parse(text, schema, len(text))
            if table is None:
                table = _line_by_line(text, schema, f"trials/{trial_id}/{file}", problems)
            yield _name_trials(table, [trial_id], [table.num_rows])


def whole_lines(data: bytes) -> bytes:
    """The lines that are completely written, each with its line break."""
    if not data or data.endswith(b"\n"):
        return data
    end = data.rfind(b"\n") + 1
    try:
        json.loads(data[end:])
    except ValueError:
        return data[:end]
    return data + b"\n"


def _parse(text: bytes, schema: pa.Schema, longest: int) -> pa.Table | None:
    """The table, or None when a line cannot be read; no line is longer than ``longest``."""
    if not text:
        return schema.empty_table()
    if not _each_line_is_an_object(text):
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(text),
            read_options=pj.ReadOptions(
                use_threads=False, block_size=max(_BLOCK_BYTES, longest + 2)
            ),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
        table = table.select(schema.names)
        if table["round"].null_count:
            return None
    except (pa.ArrowException, ValueError, KeyError):
        return None
    refuse_newer(pc.max(table["schema_version"]).as_py())
    return table


def _each_line_is_an_object(text: bytes) -> bool:
    """Whether every line begins and ends with a brace.

    Arrow's reader does not refuse a line that is ``null``: it ends the whole process.
    """
    ends = text.startswith(b"{") and text.endswith(b"}\n")
    return ends and text.count(b"}\n{") + 1 == text.count(b"\n")


def _line_by_line(text: bytes, schema: pa.Schema, name: str, problems: dict[str, str]) -> pa.Table:
    good: list[pa.Table] = []
    bad: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        refuse_newer(_version_of(line))
        table = _parse(line.strip() + b"\n", schema, len(line) + 1)
        if table is not None and table.num_rows == 1:
            good.append(table)
        else:
            bad.append(str(number))
    if bad:
        problems[name] = f"cannot be read in line {', '.join(bad[:5])}" + (
            f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        )
    return pa.concat_tables(good) if good else schema.empty_table()


def _version_of(line: bytes) -> Any:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("schema_version") if isinstance(record, dict) else None


def _name_trials(table: pa.Table, ids: list[str], counts: list[int]) -> pa.Table:
    index = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    names = pa.DictionaryArray.from_arrays(pa.array(index), pa.array(ids, pa.string()))
    return table.add_column(0, "trial_id", names)
