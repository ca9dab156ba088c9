"""A copy of the parsed rounds beside the study, so that loading again is instant.

The cache holds a stamp of each file that it was made from. Trials whose stamp is still the same
are taken from it, the others are parsed: a running study is never shown as it was.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.reading.files.rules import Rules
from study.files.problems import Problems
from study.files.regular_files import RefusedFileError
from study.records import SCHEMA_VERSION
from study.storage import Folder

CACHE_DIR = "analysis_cache"

_FORMAT = 2
"""Grows when the columns of the cached tables change."""

_KEY = b"prune_study"


_MOST_BYTES = 1 << 34
"""Size up to which a cache is taken, unpacked: a small file may claim to hold much more."""


def read_cache(
    folder: Folder,
    kind: str,
    schema: pa.Schema,
    rules: Rules,
    stamps: Mapping[str, str],
    problems: Problems,
) -> tuple[pa.Table | None, set[str]]:
    """Cached rows of the trials that have not changed, and which trials these are.

    A cache that is of another version, damaged, or holds what no record may is passed over: all
    that is in it is in the study too. Only one that leads out of the folder is told of.
    """
    name = f"{kind}.parquet"
    try:
        with folder.open(CACHE_DIR, name) as stream:
            local = folder.local_path
            source = local / CACHE_DIR / name if local else io.BytesIO(stream.read())
            return _read(source, schema, rules, stamps)
    except RefusedFileError as error:
        problems.damaged(f"{CACHE_DIR}/{name}", error)
    except Exception:  # whatever it is, reading anew mends it
        pass
    return None, set()


def _read(
    source: Path | io.BytesIO, schema: pa.Schema, rules: Rules, stamps: Mapping[str, str]
) -> tuple[pa.Table | None, set[str]]:
    # Not read_table, which takes a folder named "a=b" above it for a column.
    file = pq.ParquetFile(source, memory_map=isinstance(source, Path))
    groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
    if sum(group.total_byte_size for group in groups) > _MOST_BYTES:
        return None, set()
    facts = json.loads((file.schema_arrow.metadata or {})[_KEY])
    names = pa.field("trial_id", pa.dictionary(pa.int32(), pa.string()))
    wanted = pa.schema([names, *schema])
    if facts["versions"] != [_FORMAT, SCHEMA_VERSION]:
        return None, set()
    table = file.read().select(wanted.names).replace_schema_metadata(None)
    if not table.schema.equals(wanted) or not rules.hold(table):
        return None, set()
    cached: dict[str, str] = facts["stamps"]
    same = {each for each, stamp in cached.items() if stamps.get(each) == stamp}
    if len(same) < len(cached):
        table = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(same), pa.string())))
    return table, same


def write_cache(
    folder: Folder, kind: str, table: pa.Table, stamps: Mapping[str, str], problems: Problems
) -> None:
    """Keep the rows of these trials. A folder that cannot be written to is left as it is."""
    facts = {"versions": [_FORMAT, SCHEMA_VERSION], "stamps": dict(stamps)}
    table = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(stamps), pa.string())))
    table = table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="lz4")
    name = f"{kind}.parquet"
    try:
        folder.write(sink.getvalue(), CACHE_DIR, name)
    except RefusedFileError as error:
        problems.damaged(f"{CACHE_DIR}/{name}", error)
    except OSError:
        return
