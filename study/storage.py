"""Atomic reads and writes under one folder, local or behind any URI that pyarrow knows."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.fs as pafs

from study.errors import UsageError
from study.regular_files import RefusedFileError, open_regular, refuse_size, safe_path


class Folder:
    """A folder whose files appear whole or not at all.

    A file is written beside its place, flushed to the disk, and renamed. On object stores, where
    an upload becomes visible only when it is complete, it is written in place. On a disk, only
    regular files inside the folder are opened; links that lead out of it are refused, for reading
    and for writing (:class:`~study.regular_files.RefusedFileError`).

    Parameters
    ----------
    location
        A local path, or a URI such as ``s3://bucket/studies/one``.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        text = os.fspath(location)
        if "://" in text:
            try:
                self._filesystem, base = pafs.FileSystem.from_uri(text)
            except (ValueError, OSError) as error:
                raise UsageError(f"storage location {text!r} cannot be used: {error}") from error
            self.location = text.rstrip("/")
        else:
            self._filesystem, base = pafs.LocalFileSystem(), str(Path(text).absolute())
            self.location = base
        self._base = base.rstrip("/")
        self._is_local = isinstance(self._filesystem, pafs.LocalFileSystem)
        # A child stays inside what its parent was opened as.
        self._root = self._base
        self._below: tuple[str, ...] = ()

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
        below = Folder("/".join((self.location, *parts)))
        below._root, below._below = self._root, (*self._below, *parts)
        return below

    def exists(self, *parts: str) -> bool:
        """Whether something is there: a file, a folder, or what would be refused as one."""
        if self._is_local:
            try:
                return os.path.lexists(self._path(*parts))
            except RefusedFileError:
                return os.path.lexists("/".join((self._base, *parts)))
            except OSError as error:
                return isinstance(error, PermissionError)
        info = self._filesystem.get_file_info(self._path(*parts))
        return bool(info.type != pafs.FileType.NotFound)

    def can_be_made(self) -> bool:
        """Whether nothing on the way to this local folder is a file; True behind other URIs."""
        path = self.local_path
        if path is None:
            return True
        return next(place for place in (path, *path.parents) if place.exists()).is_dir()

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
        """The whole content of a file; see :meth:`open`."""
        with self.open(*parts) as stream:
            return bytes(stream.read())

    def age_s(self, *parts: str) -> float:
        """Seconds since a file was last changed."""
        info = self._filesystem.get_file_info(self._path(*parts))
        return time.time() - (info.mtime_ns or time.time_ns()) / 1e9

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
        with open_regular(target, "a+b") as file:
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
        if self._is_local:
            below = (*self._below, *parts)
            return safe_path(self._root, "/".join(below).split("/") if below else ())
        return "/".join((self._base, *parts))

    def _names(self, kind: pafs.FileType, *parts: str) -> list[str]:
        if self._is_local:
            return self._local_names(kind == pafs.FileType.Directory, *parts)
        selector = pafs.FileSelector(self._path(*parts), allow_not_found=True)
        infos = self._filesystem.get_file_info(selector)
        return sorted(
            info.base_name
            for info in infos
            if info.type == kind and not info.base_name.endswith(".tmp")
        )

    def _local_names(self, are_folders: bool, *parts: str) -> list[str]:
        """What is no folder counts as a file, so that nothing that lies there is passed over."""
        try:
            with os.scandir(self._path(*parts)) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if _is_folder(entry) == are_folders and not entry.name.endswith(".tmp")
                )
        except FileNotFoundError:
            return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


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
