"""A copy of the parsed rounds beside the study, so that loading again is instant.

The cache holds a stamp of each file that it was made from. Trials whose stamp is still the same
are taken from it, the others are parsed: a running study is never shown as it was.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from study.records import SCHEMA_VERSION
from study.storage import Folder

CACHE_DIR = "analysis_cache"

_FORMAT = 1
"""Grows when the columns of the cached tables change."""

_KEY = b"prune_study"


def read_cache(
    folder: Folder, kind: str, schema: pa.Schema, stamps: Mapping[str, str]
) -> tuple[pa.Table | None, set[str]]:
    """Cached rows of the trials that have not changed, and which trials these are."""
    try:
        local, name = folder.local_path, f"{kind}.parquet"
        source = local / CACHE_DIR / name if local else io.BytesIO(folder.read(CACHE_DIR, name))
        # Not read_table, which takes a folder named "a=b" above it for a column.
        table = pq.ParquetFile(source, memory_map=local is not None).read()
        facts = json.loads((table.schema.metadata or {})[_KEY])
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None, set()
    wanted = ["trial_id", *schema.names]
    if facts.get("versions") != [_FORMAT, SCHEMA_VERSION] or set(wanted) - set(table.column_names):
        return None, set()
    cached: dict[str, str] = facts["stamps"]
    same = {each for each, stamp in cached.items() if stamps.get(each) == stamp}
    if len(same) < len(cached):
        table = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(same), pa.string())))
    return table.select(wanted).replace_schema_metadata(None), same


def write_cache(folder: Folder, kind: str, table: pa.Table, stamps: Mapping[str, str]) -> None:
    """Keep the rows of these trials. A folder that cannot be written to is left as it is."""
    facts = {"versions": [_FORMAT, SCHEMA_VERSION], "stamps": dict(stamps)}
    table = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(stamps), pa.string())))
    table = table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="lz4")
    try:
        folder.write(sink.getvalue(), CACHE_DIR, f"{kind}.parquet")
    except OSError:
        return
