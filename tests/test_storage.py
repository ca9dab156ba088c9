from pathlib import Path

import pytest

from study.errors import UsageError
from study.storage import Folder


@pytest.fixture(params=["path", "uri"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(tmp_path / "x" if request.param == "path" else f"file://{tmp_path}/x")


def test_what_was_written_is_read_back(folder: Folder) -> None:
    assert folder.is_empty()
    folder.write("hello", "a", "b.txt")
    folder.write(b"\x00\x01", "c.bin")
    assert folder.read("a", "b.txt") == b"hello"
    assert folder.read("c.bin") == b"\x00\x01"
    assert (folder.folders(), folder.files()) == (["a"], ["c.bin"])
    assert folder.exists("a")
    assert not folder.exists("z")


def test_a_child_is_the_folder_below(folder: Folder) -> None:
    folder.child("a", "b").write("1", "f")
    assert folder.read("a", "b", "f") == b"1"
    assert folder.child("a", "b").name == "b"


def test_lines_are_appended(folder: Folder) -> None:
    folder.append_line("one", "log")
    folder.append_line("two", "log")
    assert folder.read("log") == b"one\ntwo\n"


def test_files_and_folders_are_removed_and_what_is_missing_is_no_error(folder: Folder) -> None:
    folder.write("1", "a", "f")
    folder.write("1", "g")
    for name in ("a", "g", "never"):
        folder.remove(name)
    assert folder.is_empty()


def test_a_location_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown name 'nonsense'"):
        Folder("nonsense://x/y")
