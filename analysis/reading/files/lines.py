"""JSON lines of many trials to one Arrow table: fast when all is well, by line when it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from analysis.reading.files.rules import Rules
from study.files.documents import NewerVersionError, whole_lines
from study.files.problems import Problem, Problems, problem_of

_BLOCK_BYTES = 1 << 20
"""Text parsed at a time; more where a file is longer, as no line may straddle."""


def parse_batches(
    batches: Iterable[list[tuple[str, bytes]]],
    schema: pa.Schema,
    rules: Rules,
    file: str,
    problems: Problems,
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
    rules
        What they may be.
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
        text = b"".join([text for _, text in texts])
        table = _parse(text, schema, longest)
        if table is not None and table.num_rows == sum(counts) and _hold(rules, table, text):
            yield _name_trials(table, [trial_id for trial_id, _ in texts], counts)
            continue
        for trial_id, text in texts:
            table = _parse(text, schema, len(text))
            if table is None or not _hold(rules, table, text):
                name = f"trials/{trial_id}/{file}"
                table = _line_by_line(text, schema, rules, name, problems)
            yield _name_trials(table, [trial_id], [table.num_rows])


def _hold(rules: Rules, table: pa.Table, text: bytes) -> bool:
    try:
        return rules.hold(table, text)
    except NewerVersionError:
        return False  # by line it is told in which file


def _parse(text: bytes, schema: pa.Schema, longest: int) -> pa.Table | None:
    """The table, or None when a line cannot be read; no line is longer than ``longest``."""
    if not text:
        return schema.empty_table()
    if not _each_line_is_an_object(text):
        return None
    try:
        if not text.isascii():
            text.decode()  # Arrow takes any bytes for text
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
    return table


def _each_line_is_an_object(text: bytes) -> bool:
    """Whether every line begins and ends with a brace.

    Arrow's reader does not refuse a line that is ``null``: it ends the whole process.
    """
    ends = text.startswith(b"{") and text.endswith(b"}\n")
    return ends and text.count(b"}\n{") + 1 == text.count(b"\n")


def _line_by_line(
    text: bytes, schema: pa.Schema, rules: Rules, name: str, problems: Problems
) -> pa.Table:
    good: list[bytes] = []
    bad: list[Problem] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rules.check(line)
            if _parse(line.strip() + b"\n", schema, len(line) + 1) is None:
                raise ValueError("a field is there twice, or too large")
            good.append(line.strip() + b"\n")
        except NewerVersionError as error:
            raise NewerVersionError(f"{name}: {error}") from error
        except Exception as error:
            found = problem_of(error)
            bad.append(Problem(found.reason, found.field, number))
    problems.add(name, bad)
    whole = b"".join(good)
    table = _parse(whole, schema, len(whole))
    assert table is not None  # each line was read by itself
    return table


def _name_trials(table: pa.Table, ids: list[str], counts: list[int]) -> pa.Table:
    index = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    names = pa.DictionaryArray.from_arrays(pa.array(index), pa.array(ids, pa.string()))
    return table.add_column(0, "trial_id", names)
