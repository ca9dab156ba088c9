"""Atomic reads and writes under one folder, local or behind any URI that pyarrow knows."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.fs as pafs

from study.errors import UsageError
from study.files import on_disk
from study.files.locations import Location, hide_secrets, read_location
from study.files.parts import (
    PART_BYTES,
    has_parts,
    joined,
    number_of,
    part_name,
    parts_of,
    whole_name,
)
from study.files.regular_files import RefusedFileError, open_regular, refuse_size, safe_path

_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{32}\.tmp$")

READERS = 8
"""Parts of a file that are read at a time: behind an object store each waits for the network."""


class Folder:
    """A folder whose files appear whole or not at all.

    A file is written beside its place, flushed to the disk, and renamed. On object stores, where
    an upload becomes visible only when it is complete, it is written in place. On a disk, only
    regular files inside the folder are opened; links that lead out of it are refused, for reading
    and for writing (:class:`~study.files.regular_files.RefusedFileError`).

    Parameters
    ----------
    location
        A local path, or a URI such as ``s3://bucket/studies/one``.

    Raises
    ------
    UsageError
        If it is no such location, holds a secret, or cannot be opened.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        self._place = read_location(location)
        self.location = str(self._place)
        self._filesystem, base = pafs.LocalFileSystem(), self._place.path
        if self._place.scheme is not None:
            try:
                self._filesystem, base = pafs.FileSystem.from_uri(_opened_as(self._place))
            except (ValueError, OSError, NotImplementedError) as error:
                said = f"storage location {self.location!r} cannot be used: {error}"
                raise UsageError(hide_secrets(said)) from error
        self._base = base.rstrip("/")
        self._is_local = isinstance(self._filesystem, pafs.LocalFileSystem)
        self._growing: dict[str, tuple[int, bytes]] = {}
        # A child stays inside what its parent was opened as.
        self._root = self._base
        self._below: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_growing": {}}  # each copy is a writer of its own

    def __repr__(self) -> str:
        return f"Folder({self.location!r})"

    @property
    def name(self) -> str:
        """Last part of the location."""
        return str(self._base).rsplit("/", 1)[-1]

    @property
    def parent(self) -> str:
        """Location of the folder above."""
        return str(self._place.parent)

    @property
    def local_path(self) -> Path | None:
        """The path on this machine, or None behind a URI of another kind."""
        return Path(self._base) if self._is_local else None

    def child(self, *parts: str) -> Folder:
        """The folder below this one."""
        below = copy(self)  # a URI is not opened again: that may ask the network
        below._place = self._place.child(*parts)
        below.location = str(below._place)
        below._base = "/".join((self._base, *parts))
        below._below = (*self._below, *parts)
        return below

    def at(self, *parts: str) -> str:
        """Location of a file in it."""
        return str(self._place.child(*parts))

    @property
    def pyarrow(self) -> tuple[pafs.FileSystem, str]:
        """As pyarrow has it: the file system, and the path in it."""
        return self._filesystem, self._base

    def exists(self, *parts: str) -> bool:
        """Whether something is there: a file, a folder, or what would be refused as one."""
        if self._is_local:
            try:
                return os.path.lexists(self._path(*parts)) or bool(self._parts(*parts))
            except RefusedFileError:
                return os.path.lexists("/".join((self._base, *parts)))
            except OSError as error:
                return isinstance(error, PermissionError)
        info = self._filesystem.get_file_info(self._path(*parts))
        return bool(info.type != pafs.FileType.NotFound) or bool(self._parts(*parts))

    def is_empty(self) -> bool:
        """Whether the folder is missing or has nothing in it."""
        return not self.files() and not self.folders()

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders directly below, sorted."""
        return self._names(pafs.FileType.Directory, *parts)

    def files(self, *parts: str) -> list[str]:
        """Names of the files directly below, sorted."""
        return self._names(pafs.FileType.File, *parts)

    def open(self, *parts: str) -> BinaryIO:
        """A file, to be read and closed.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        RefusedFileError
            If it is no regular file inside the folder, or a very large one.
        """
        path = self._path(*parts)
        if self._is_local:
            return open_regular(path)
        stream: Any = self._filesystem.open_input_file(path)
        refuse_size(path, stream.size())
        return stream  # type: ignore[no-any-return]

    def read(self, *parts: str) -> bytes:
        """The whole content of a file, which may be in parts; see :meth:`open`."""
        try:
            return self._read(*parts)
        except FileNotFoundError:
            names = self._parts(*parts)
            if not names:
                raise
        places = [(*parts[:-1], name) for name in names]
        infos = self._filesystem.get_file_info([self._path(*place) for place in places])
        refuse_size(self._path(*parts), sum(info.size or 0 for info in infos))
        with ThreadPoolExecutor(READERS) as readers:
            return joined(list(readers.map(lambda place: self._read(*place), places)))

    def _read(self, *parts: str) -> bytes:
        with self.open(*parts) as stream:
            return bytes(stream.read())

    def age_s(self, *parts: str) -> float:
        """Seconds since a file was last changed."""
        last = self._parts(*parts)[-1:] or parts[-1:]
        info = self._filesystem.get_file_info(self._path(*parts[:-1], *last))
        return time.time() - (info.mtime_ns or time.time_ns()) / 1e9

    def create(self, content: str, *parts: str) -> bool:
        """Make a file on this machine's file systems, unless there is one: who makes it is told.

        Returns
        -------
        bool
            Whether it was made now, and by this call; of several at a time one makes it.
        """
        return on_disk.create(Path(self._path(*parts)), content)

    def write(self, content: bytes | str, *parts: str) -> None:
        """Write a whole file: a reader sees the old content or the new, never a part."""
        data = content.encode() if isinstance(content, str) else content
        target = self._path(*parts)
        if not isinstance(self._filesystem, pafs.S3FileSystem):  # where no folder is needed
            self._filesystem.create_dir(target.rsplit("/", 1)[0], recursive=True)
        if self._is_local:
            on_disk.write(Path(target), data)
            return
        with self._filesystem.open_output_stream(target) as stream:
            stream.write(data)

    def append_line(self, line: str, *parts: str, durable: bool = True) -> None:
        """Add one line, or several, to a file of which this process is the only writer.

        After a crash the last line may be torn; readers skip it, and the next line begins anew.
        Lines that are not ``durable`` may be lost with the machine's power, and cost less. On
        object stores, which can only write whole objects, lines go into parts of
        :data:`~study.files.parts.PART_BYTES`: what a line costs does not grow with those before it.
        """
        target = self._path(*parts)
        if not self._is_local:
            self._append_part(target, f"{line}\n".encode(), *parts)
            return
        if names := self._parts(*parts):  # of a copy that came from an object store
            target = self._path(*parts[:-1], names[-1])
        on_disk.append(Path(target), f"{line}\n".encode(), durable=durable)

    def sweep(self) -> None:
        """Remove what killed writers left half-written of the files directly in this folder."""
        if not self._is_local or not (path := Path(self._path())).is_dir():
            return
        for each in path.iterdir():
            if _HALF_WRITTEN.search(each.name) and not each.is_dir():
                each.unlink(missing_ok=True)

    def remove(self, *parts: str) -> None:
        """Remove a file, or a folder with all it holds; nothing happens when it is not there."""
        path = self._path(*parts)
        kind = self._filesystem.get_file_info(path).type
        if kind == pafs.FileType.File:
            self._filesystem.delete_file(path)
        elif kind == pafs.FileType.Directory:
            self._filesystem.delete_dir(path)
        for part in self._parts(*parts):
            self._filesystem.delete_file(self._path(*parts[:-1], part))
        self._growing.pop(path, None)

    def _append_part(self, target: str, line: bytes, *parts: str) -> None:
        # Where a write fails, whether it was done is not known: the next line begins another part.
        known = self._growing.pop(target, None)
        number, before = (self._next_part(target, *parts), b"") if known is None else known
        content = before + line
        self.write(content, *parts[:-1], part_name(parts[-1], number))
        is_full = len(content) >= PART_BYTES
        self._growing[target] = (number + 1, b"") if is_full else (number, content)

    def _next_part(self, target: str, *parts: str) -> int:
        """The number of the part that this process begins with, as others have written before."""
        if self._filesystem.get_file_info(target).type == pafs.FileType.File:
            # One object, of a copy of a local study: as long as it is there, it is the whole file.
            self._filesystem.copy_file(target, self._path(*parts[:-1], part_name(parts[-1], 0)))
            self._filesystem.delete_file(target)
        names = self._parts(*parts)
        return number_of(names[-1]) + 1 if names else 0

    def _parts(self, *parts: str) -> list[str]:
        """Names of the parts of a file, in order; none where it is whole."""
        if not parts or not has_parts(parts[-1]):
            return []
        if self._is_local:
            path = self._path(*parts)
            if os.path.lexists(path) or not os.path.isdir(folder := os.path.dirname(path)):  # noqa: PTH112, PTH120
                return []
            return parts_of(parts[-1], os.listdir(folder))  # noqa: PTH208
        selector = pafs.FileSelector(self._path(*parts[:-1]), allow_not_found=True)
        infos = self._filesystem.get_file_info(selector)
        return parts_of(parts[-1], (info.base_name for info in infos))

    def _path(self, *parts: str) -> str:
        if self._is_local:
            below = (*self._below, *parts)
            return safe_path(self._root, "/".join(below).split("/") if below else ())
        return "/".join((self._base, *parts))

    def _names(self, kind: pafs.FileType, *parts: str) -> list[str]:
        if self._is_local:
            are_folders = kind == pafs.FileType.Directory
            return on_disk.names(self._path(*parts), are_folders=are_folders)
        selector = pafs.FileSelector(self._path(*parts), allow_not_found=True)
        infos = self._filesystem.get_file_info(selector)
        names = (i.base_name for i in infos if i.type == kind and not i.base_name.endswith(".tmp"))
        return sorted({whole_name(name) for name in names})


def _opened_as(place: Location) -> str:
    """The URI that pyarrow opens: of S3 small objects are one request then, and not three."""
    if place.scheme != "s3" or "allow_delayed_open" in place.query:
        return str(place)
    query = "&".join([place.query] * bool(place.query) + ["allow_delayed_open=true"])
    return str(replace(place, query=query))
