"""Kinds of damage to one file of a study, each drawn from a generator."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import shutil
import struct
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

HOSTILE = "\x1b]0;owned\x07[/b]=1+1"

VALUES: tuple[Any, ...] = (
    None, "abc", "", HOSTILE, -1, 2**32, 2**63, 10**400, -0.5, 1.5, 1e300, True, [], {}, [[]],
    ["x"], {"a": {"b": 1}}, float("nan"), float("inf"), "-", "\ud800",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where damage is done: a file of a study, and a folder outside of it."""

    file: Path
    outside: Path


Damage = Callable[[Place, random.Random], None]


def missing(place: Place, draw: random.Random) -> None:
    place.file.unlink()


def emptied(place: Place, draw: random.Random) -> None:
    place.file.write_bytes(b"")


def cut_off(place: Place, draw: random.Random) -> None:
    data = place.file.read_bytes()
    place.file.write_bytes(data[: draw.randrange(max(len(data), 1))])


def noise(place: Place, draw: random.Random) -> None:
    data = bytearray(place.file.read_bytes())
    for _ in range(draw.choice([1, 3, 40])):
        if data:
            data[draw.randrange(len(data))] = draw.randrange(256)
    place.file.write_bytes(data)


def inserted(place: Place, draw: random.Random) -> None:
    data = place.file.read_bytes()
    at = draw.randrange(len(data) + 1)
    more = draw.choice([b"\xff\xfe", b"\x00" * 9, b"\xef\xbb\xbf", b"\n\n", b"}\n{", b"null\n"])
    place.file.write_bytes(data[:at] + more + data[at:])


def nested(place: Place, draw: random.Random) -> None:
    place.file.write_bytes(b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}\n")


def a_folder(place: Place, draw: random.Random) -> None:
    place.file.unlink()
    place.file.mkdir()


def a_pipe(place: Place, draw: random.Random) -> None:
    place.file.unlink()
    os.mkfifo(place.file)


def a_device(place: Place, draw: random.Random) -> None:
    place.file.unlink()
    place.file.symlink_to(draw.choice(["/dev/zero", "/dev/tty", "/dev/random"]))


def a_circle(place: Place, draw: random.Random) -> None:
    place.file.unlink()
    place.file.symlink_to(place.file.name)


def link_to_nothing(place: Place, draw: random.Random) -> None:
    place.file.unlink()
    place.file.symlink_to("nowhere")


def link_out(place: Place, draw: random.Random) -> None:
    """To the same content, so that only the place is wrong."""
    shutil.copy(place.file, place.outside / "linked")
    place.file.unlink()
    place.file.symlink_to(place.outside / "linked")


def folder_link_out(place: Place, draw: random.Random) -> None:
    away = place.outside / "folder"
    shutil.move(place.file.parent, away)
    place.file.parent.symlink_to(away)


def huge(place: Place, draw: random.Random) -> None:
    os.truncate(place.file, 1 << draw.choice([33, 42]))


def a_field(place: Place, draw: random.Random) -> None:
    """One value of a document or line, at any depth, is another one, or gone."""
    ending = place.file.suffix
    text = place.file.read_bytes()
    if ending == ".toml":
        tables = tomllib.loads(text.decode())
        _change(tables, draw, [v for v in VALUES if v not in (None, 10**400, "\ud800")])
        place.file.write_text(tomli_w.dumps(tables))
        return
    lines = text.splitlines() if ending == ".jsonl" else [text]
    number = draw.randrange(len(lines))
    document = json.loads(lines[number])
    _change(document, draw, VALUES)
    lines[number] = json.dumps(document).encode("utf-8", "replace")
    place.file.write_bytes(b"\n".join(lines) + b"\n")


def _change(document: Any, draw: random.Random, values: Any) -> None:
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = draw.choice(keys)
        inner = document[key]
        if isinstance(inner, (dict, list)) and inner and draw.random() < 0.7:
            document = inner
            continue
        if draw.random() < 0.2:
            del document[key]
        else:
            document[key] = copy.deepcopy(draw.choice(values))
        return


def a_line(place: Place, draw: random.Random) -> None:
    """A line is there twice, out of order, torn, or another thing."""
    lines = place.file.read_bytes().splitlines(keepends=True)
    number = draw.randrange(len(lines))
    other = draw.choice([b"null\n", b"[1]\n", b"3\n", b"{}\n", b"\n", lines[number][:40] + b"\n",
                         lines[number], lines[number] * 2, b'{"a":1} null {"b":2}\n'])  # fmt: skip
    lines[number:number] = [other]
    draw.shuffle(lines) if draw.random() < 0.2 else None
    place.file.write_bytes(b"".join(lines))


def a_column(place: Place, draw: random.Random) -> None:
    """Of a table: gone, of text, outside its range, or empty."""
    table = pq.read_table(place.file)
    name = draw.choice(table.column_names)
    at = table.column_names.index(name)
    rows = table.num_rows
    made: list[Any] = [["x"] * rows, [-1.0] * rows, [1e300] * rows, [None] * rows, [[1]] * rows,
                       [float("nan")] * rows, [2**62] * rows]  # fmt: skip
    if draw.random() < 0.2:
        table = table.remove_column(at)
    else:
        table = table.set_column(at, name, pa.array(draw.choice(made)))
    sink = io.BytesIO()
    pq.write_table(table.slice(0, draw.choice([rows, 0, 1])), sink)
    place.file.write_bytes(sink.getvalue())


def a_header(place: Place, draw: random.Random) -> None:
    """Of a file of tensors: offsets, shapes, types and facts that are wrong."""
    data = place.file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    if draw.random() < 0.3:
        facts = json.loads(header["__metadata__"]["prune_study"])
        _change(facts, draw, VALUES)
        header["__metadata__"]["prune_study"] = json.dumps(facts)
    else:
        _change(header, draw, VALUES)
    text = json.dumps(header).encode("utf-8", "replace")
    start = draw.choice([len(text)] * 4 + [2**63, 0, size + 1])
    place.file.write_bytes(struct.pack("<Q", start) + text + data[8 + size :])


EVERY = (
    missing, emptied, cut_off, noise, inserted, nested, a_folder, a_pipe, a_device, a_circle,
    link_to_nothing, link_out, folder_link_out, huge,
)  # fmt: skip
"""To any file."""

OF_ENDING: dict[str, tuple[Damage, ...]] = {
    ".json": (a_field,) * 12,
    ".jsonl": (a_field,) * 12 + (a_line,) * 4,
    ".toml": (a_field,) * 20,
    ".parquet": (a_column,) * 6,
    ".safetensors": (a_header,) * 4,
}

HARMLESS = (missing, noise, cut_off, inserted, a_field, a_line, a_column, a_header, emptied)
"""May leave, or make, a file that says something else and is well."""
