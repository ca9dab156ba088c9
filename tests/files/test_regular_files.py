"""What lies in a study folder and is no plain file of it: never opened, followed or waited for."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from study.errors import UsageError
from study.files.regular_files import MOST_BYTES, RefusedFileError
from study.storage import Folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the study."""
    away = tmp_path / "outside"
    away.mkdir()
    (away / "secret").write_text("theirs\n")
    return away


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "study").mkdir()
    return Folder(tmp_path / "study")


def _socket(path: Path) -> None:
    os.chdir(path.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


IRREGULAR: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is a pipe, not a file"),
    "folder": (Path.mkdir, "is a folder, not a file"),
    "socket": (_socket, "is a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "leads out of the folder"),
    "circle": (lambda path: path.symlink_to(path.name), "leads in a circle"),
    "nothing": (lambda path: path.symlink_to("nowhere"), "is a link to nothing"),
    "outside": (lambda path: path.symlink_to("../outside/secret"), "leads out of the folder"),
}


@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_file_of_the_folder_is_there_and_neither_read_nor_added_to(
    folder: Folder, outside: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outside)
    make, reason = IRREGULAR[kind]
    make(Path(folder.location) / "f")
    assert folder.exists("f")
    with pytest.raises(RefusedFileError, match=reason):
        folder.read("f")
    with pytest.raises(RefusedFileError, match=reason):
        folder.append_line("line", "f")
    assert (outside / "secret").read_text() == "theirs\n"


def test_what_is_no_folder_is_listed_with_the_files(folder: Folder, outside: Path) -> None:
    place = Path(folder.location)
    os.mkfifo(place / "pipe")
    (place / "circle").symlink_to("circle")
    (place / "real").mkdir()
    (place / "away").symlink_to(outside)
    assert folder.files() == ["circle", "pipe"]
    assert folder.folders() == ["away", "real"]


def test_a_folder_that_leads_out_is_neither_read_nor_written(folder: Folder, outside: Path) -> None:
    (Path(folder.location) / "cache").symlink_to(outside)
    for below in (folder, Folder(folder.location)):
        with pytest.raises(RefusedFileError, match="leads out"):
            below.read("cache", "secret")
    with pytest.raises(RefusedFileError, match="leads out"):
        folder.write("mine", "cache", "secret")
    with pytest.raises(RefusedFileError, match="leads out"):
        folder.child("cache").write("mine", "secret")
    with pytest.raises(RefusedFileError, match="leads out"):
        folder.remove("cache", "secret")
    with pytest.raises(RefusedFileError, match="leads out"):
        folder.files("cache")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "theirs\n"


def test_links_that_stay_inside_and_a_folder_reached_by_a_link_are_fine(
    folder: Folder, tmp_path: Path
) -> None:
    folder.write("1", "real", "f")
    (Path(folder.location) / "again").symlink_to("real")
    assert folder.read("again", "f") == b"1"
    (tmp_path / "link").symlink_to(folder.location)
    reached = Folder(tmp_path / "link")
    reached.append_line("2", "log")
    assert folder.read("log") == b"2\n"
    assert reached.read("again", "f") == b"1"


@pytest.mark.parametrize("name", ["..", "../outside", "a/../../outside", "", ".", "/etc", "a\0b"])
def test_names_that_lead_elsewhere_are_none(folder: Folder, outside: Path, name: str) -> None:
    with pytest.raises(RefusedFileError, match="is no name of a file"):
        folder.read(name, "secret")
    with pytest.raises(RefusedFileError, match="is no name of a file"):
        folder.write("x", name, "secret")


def test_a_file_that_is_far_too_large_is_not_read(folder: Folder) -> None:
    folder.write("{}", "plan.json")
    os.truncate(Path(folder.location) / "plan.json", 1 << 42)
    with pytest.raises(RefusedFileError, match=f"read up to {MOST_BYTES['.json']:,}"):
        folder.read("plan.json")


def test_a_refusal_is_the_users_to_mend_and_travels_between_processes(folder: Folder) -> None:
    error = RefusedFileError("/a/b", "is a pipe")
    assert isinstance(error, UsageError)
    assert isinstance(error, OSError)
    assert str(pickle.loads(pickle.dumps(error))) == "/a/b is a pipe"
