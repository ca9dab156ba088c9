"""Atomic reads and writes under one folder, local or behind any URI that pyarrow knows."""

from __future__ import annotations

import os
import uuid
from copy import copy
from pathlib import Path

import pyarrow.fs as pafs

from study.errors import UsageError
from study.locations import read_location


class Folder:
    """A folder whose files appear whole or not at all.

    A file is written beside its place, flushed to the disk, and renamed. On object stores, where
    an upload becomes visible only when it is complete, it is written in place.

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
                self._filesystem, base = pafs.FileSystem.from_uri(self.location)
            except (ValueError, OSError, NotImplementedError) as error:
                raise UsageError(
                    f"storage location {self.location!r} cannot be used: {error}"
                ) from error
        self._base = base.rstrip("/")
        self._is_local = isinstance(self._filesystem, pafs.LocalFileSystem)

    def __repr__(self) -> str:
        return f"Folder({self.location!r})"

    @property
    def name(self) -> str:
        """Last part of the location."""
        return str(self._base).rsplit("/", 1)[-1]

    @property
    def local_path(self) -> Path | None:
        """The path on this machine, or None behind a URI of another kind."""
        return Path(self._base) if self._is_local else None

    def child(self, *parts: str) -> Folder:
        """The folder below this one."""
        below = copy(self)  # a URI is not opened again: that may ask the network
        below._place = self._place.child(*parts)
        below.location = str(below._place)
        below._base = self._path(*parts)
        return below

    def at(self, *parts: str) -> str:
        """Location of a file in it."""
        return str(self._place.child(*parts))

    @property
    def pyarrow(self) -> tuple[pafs.FileSystem, str]:
        """As pyarrow has it: the file system, and the path in it."""
        return self._filesystem, self._base

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder is there."""
        info = self._filesystem.get_file_info(self._path(*parts))
        return bool(info.type != pafs.FileType.NotFound)

    def is_empty(self) -> bool:
        """Whether the folder is missing or has nothing in it."""
        return not self.files() and not self.folders()

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders directly below, sorted."""
        return self._names(pafs.FileType.Directory, *parts)

    def files(self, *parts: str) -> list[str]:
        """Names of the files directly below, sorted."""
        return self._names(pafs.FileType.File, *parts)

    def read(self, *parts: str) -> bytes:
        """The whole content of a file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        with self._filesystem.open_input_stream(self._path(*parts)) as stream:
            return bytes(stream.read())

    def write(self, content: bytes | str, *parts: str) -> None:
        """Write a whole file: a reader sees the old content or the new, never a part."""
        data = content.encode() if isinstance(content, str) else content
        target = self._path(*parts)
        self._filesystem.create_dir(target.rsplit("/", 1)[0], recursive=True)
        if not self._is_local:
            with self._filesystem.open_output_stream(target) as stream:
                stream.write(data)
            return
        beside = Path(f"{target}.{uuid.uuid4().hex}.tmp")
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def append_line(self, line: str, *parts: str, durable: bool = True) -> None:
        """Add one line to a file of which this process is the only writer.

        After a crash the last line may be torn; readers skip it, and the next line begins anew.
        Lines that are not ``durable`` may be lost with the machine's power, and cost less.
        """
        target = self._path(*parts)
        if not self._is_local:
            before = self.read(*parts) if self.exists(*parts) else b""
            self.write(before + line.encode() + b"\n", *parts)
            return
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())

    def remove(self, *parts: str) -> None:
        """Remove a file, or a folder with all it holds; nothing happens when it is not there."""
        path = self._path(*parts)
        kind = self._filesystem.get_file_info(path).type
        if kind == pafs.FileType.File:
            self._filesystem.delete_file(path)
        elif kind == pafs.FileType.Directory:
            self._filesystem.delete_dir(path)

    def _path(self, *parts: str) -> str:
        return "/".join((self._base, *parts))

    def _names(self, kind: pafs.FileType, *parts: str) -> list[str]:
        selector = pafs.FileSelector(self._path(*parts), allow_not_found=True)
        infos = self._filesystem.get_file_info(selector)
        return sorted(
            info.base_name
            for info in infos
            if info.type == kind and not info.base_name.endswith(".tmp")
        )


def refuse_output(output: str) -> None:
    """Make sure that a file that a user names can be written, before the work for it begins.

    Raises
    ------
    UsageError
        If its folder is not there, or it is a folder itself.
    """
    parent = Path(output).parent
    if not parent.is_dir():
        raise UsageError(f"--output: there is no folder {str(parent)!r}")
    if Path(output).is_dir():
        raise UsageError(f"--output: {output!r} is a folder; name a file")


def write_output(output: str, data: bytes) -> None:
    """Write a file that a user names: the old content or the new is there, never a part.

    Raises
    ------
    UsageError
        As :func:`refuse_output`, and if the place cannot be written to.
    """
    refuse_output(output)
    try:
        Folder(str(Path(output).parent)).write(data, Path(output).name)
    except OSError as error:
        raise UsageError(f"output: {output!r} cannot be written: {error}") from error
