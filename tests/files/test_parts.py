"""Files that grow line by line, on a real object store and in copies of what was there."""

import shutil
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from study.files.parts import PART_BYTES, joined, part_name, whole_name
from study.files.regular_files import MOST_BYTES, RefusedFileError
from study.storage import Folder
from tests.s3_server import S3Server

NAME = "events.jsonl"


@pytest.fixture
def folder(s3: S3Server, request: pytest.FixtureRequest) -> Folder:
    s3.make_bucket("parts")
    return Folder(s3.uri(f"parts/{request.node.name}"))


def copied(folder: Folder, place: Path) -> Folder:
    """What `aws s3 cp --recursive` makes of a folder without folders in it."""
    filesystem, base = folder.pyarrow
    place.mkdir(exist_ok=True)
    for info in filesystem.get_file_info(pafs.FileSelector(base)):
        with filesystem.open_input_file(info.path) as stream:
            (place / info.base_name).write_bytes(stream.read())
    return Folder(place)


def lines_of(count: int, start: int = 0) -> list[str]:
    return [f'{{"line": {number}, "text": "{"x" * 900}"}}' for number in range(start, count)]


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def objects(folder: Folder) -> dict[str, int]:
    filesystem, base = folder.pyarrow
    infos = filesystem.get_file_info(pafs.FileSelector(base))
    return {info.base_name: info.size for info in infos}


def test_an_object_is_no_longer_than_a_part_and_the_lines_are_read_in_order(
    folder: Folder,
) -> None:
    lines = lines_of(200)
    for line in lines:
        folder.append_line(line, NAME)
    assert folder.read(NAME).decode() == text(lines)
    assert folder.files() == [NAME]
    sizes = objects(folder)
    assert len(sizes) == -(-len(text(lines)) // PART_BYTES)
    assert max(sizes.values()) < PART_BYTES + len(lines[-1]) + 1


def test_each_process_that_appends_begins_a_part_after_those_that_are_there(
    folder: Folder,
) -> None:
    for number in range(3):
        Folder(folder.location).append_line(str(number), NAME)
    assert sorted(objects(folder)) == [part_name(NAME, number) for number in range(3)]
    filesystem, base = folder.pyarrow
    filesystem.delete_file(f"{base}/{part_name(NAME, 1)}")
    Folder(folder.location).append_line("3", NAME)
    assert folder.read(NAME) == b"0\n2\n3\n", "a part that was lost is no reason to lose others"


def test_a_copy_goes_on_where_it_was_brought_to_and_back_again(
    folder: Folder, tmp_path: Path
) -> None:
    first, second, third = lines_of(100), lines_of(102, 100), lines_of(104, 102)
    for line in first:
        folder.append_line(line, NAME)
    local = copied(folder, tmp_path / "copy")
    assert local.exists(NAME)
    assert local.files() == [NAME]
    for line in second:
        local.append_line(line, NAME)
    assert Folder(tmp_path / "copy").read(NAME).decode() == text(first + second)
    back = folder.child("back")
    for path in (tmp_path / "copy").iterdir():
        back.write(path.read_bytes(), path.name)
    for line in third:
        back.append_line(line, NAME)
    assert back.read(NAME).decode() == text(first + second + third)


def test_a_local_study_that_was_copied_to_an_object_store_goes_on(folder: Folder) -> None:
    folder.write(text(["0", "1"]), NAME)
    assert folder.read(NAME) == b"0\n1\n"
    folder.append_line("2", NAME)
    assert folder.read(NAME) == b"0\n1\n2\n"
    assert folder.exists(NAME)


def test_a_torn_line_in_a_part_of_a_copy_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / part_name(NAME, 0)).write_bytes(b"0\ntor")
    (tmp_path / part_name(NAME, 1)).write_bytes(b"1\n")
    folder = Folder(tmp_path)
    assert folder.read(NAME) == b"0\ntor\n1\n"
    assert joined([b"", b"a"]) == b"a"


def test_it_is_removed_with_all_its_parts(folder: Folder, tmp_path: Path) -> None:
    folder.append_line("0", NAME)
    Folder(folder.location).append_line("1", NAME)
    local = copied(folder, tmp_path)
    for each in (folder, local):
        each.remove(NAME)
        assert not each.exists(NAME)
        with pytest.raises(FileNotFoundError):
            each.read(NAME)
    folder.append_line("2", NAME)
    assert folder.read(NAME) == b"2\n"


def test_parts_are_as_long_together_as_one_file_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / part_name(NAME, number)).write_bytes(b"x" * 400)
    monkeypatch.setitem(MOST_BYTES, ".jsonl", 1000)
    with pytest.raises(RefusedFileError, match="has 1,200 bytes"):
        Folder(tmp_path).read(NAME)
    monkeypatch.setitem(MOST_BYTES, ".jsonl", 300)
    with pytest.raises(RefusedFileError, match="has 400 bytes"):
        Folder(tmp_path).open(part_name(NAME, 0))


@pytest.mark.parametrize("name", ["events.jsonl", "x.part-000001", "events.jsonl.part-1"])
def test_what_only_looks_like_a_part_is_none(name: str) -> None:
    assert whole_name(name) == name


def test_a_link_among_parts_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s\n")
    study = tmp_path / "study"
    study.mkdir()
    (study / part_name(NAME, 0)).symlink_to(tmp_path / "secret")
    with pytest.raises(RefusedFileError, match="leads out"):
        Folder(study).read(NAME)
    with pytest.raises(RefusedFileError, match="leads out"):
        Folder(study).append_line("x", NAME)
    shutil.rmtree(study)
