"""Files that appear whole or not at all, and lines that a crash does not spoil."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from study.files import on_disk


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    on_disk.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        on_disk.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_after_a_torn_line_the_next_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntor")
    on_disk.append(path, b"two\n", durable=True)
    on_disk.append(path, b"three\n", durable=False)
    assert path.read_bytes() == b"one\ntor\ntwo\nthree\n"


def test_of_several_who_create_a_file_one_has_made_it(tmp_path: Path) -> None:
    path = tmp_path / "below" / "f"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: (name, on_disk.create(path, name)), "abcdefgh"))
    assert [name for name, was_made in made if was_made] == [path.read_text()]


def test_a_link_in_a_circle_is_a_file_and_what_is_being_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    for name in ("log.jsonl.part-000000", "log.jsonl.part-000001", "f.0.tmp"):
        (tmp_path / name).touch()
    assert on_disk.names(str(tmp_path), are_folders=False) == ["circle", "log.jsonl"]
    assert on_disk.names(str(tmp_path), are_folders=True) == ["folder"]
    assert on_disk.names(str(tmp_path / "none"), are_folders=True) == []
