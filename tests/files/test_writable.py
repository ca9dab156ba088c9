"""Whether a study could be written is found out before it is."""

import os
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from study.errors import UsageError
from study.files.writable import refuse_unwritable
from study.storage import Folder
from tests.s3_server import S3Server


def test_nothing_is_left_where_something_can_be_written(tmp_path: Path) -> None:
    refuse_unwritable(Folder(tmp_path / "a" / "b"), "here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file/x", "a file or a link"),
        ("loop", "a file or a link"),
        ("dangling/x", "a file or a link"),
        ("ä" * 128, "256 bytes; at most 255"),
        ("/".join(["d" * 200] * 21), "more than 3875 bytes"),
    ],
)
def test_what_is_in_the_way_is_said(place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=f"--storage-path: .*{message}"):
        refuse_unwritable(Folder(tmp_path / place), "--storage-path")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written to: No space left"):
        refuse_unwritable(Folder(tmp_path), "here")


def objects(server: S3Server, bucket: str) -> list[str]:
    filesystem, _ = pafs.FileSystem.from_uri(server.uri(bucket))
    found = filesystem.get_file_info(pafs.FileSelector(bucket, recursive=True))
    return sorted(info.path for info in found)


def test_of_a_bucket_that_can_be_written_to_no_file_is_changed(s3: S3Server) -> None:
    s3.make_bucket("there")
    Folder(s3.uri("there/kept")).write(b"1", "file")
    for path in ("there", "there/kept", "there/kept/study", "there/a/b"):
        refuse_unwritable(Folder(s3.uri(path)), "here")
        assert Folder(s3.uri(path)).files() == (["file"] if path == "there/kept" else [])
    assert [path for path in objects(s3, "there") if "file" in path] == ["there/kept/file"]
    assert not [path for path in objects(s3, "there") if "prune-study" in path]


def test_who_looks_whether_it_could_write_is_in_nobodys_way(s3: S3Server) -> None:
    """Another one may find the folder, or begin its study in it, in the midst of the look."""
    s3.make_bucket("there")
    folder = Folder(s3.uri("there/looked-at"))
    looked, inside = Folder(folder.location), list[bool]()

    class Watched(pafs.SubTreeFileSystem):
        def delete_file(self, path: str) -> None:
            inside.append(folder.is_empty())
            folder.write("owner", "owners", "0001.json")
            super().delete_file(path)

    looked._filesystem = Watched("", folder.pyarrow[0])
    refuse_unwritable(looked, "here")
    assert inside == [True]
    assert folder.read("owners", "0001.json") == b"owner"


def test_a_bucket_that_is_not_there_is_said(s3: S3Server) -> None:
    with pytest.raises(UsageError, match="there is no bucket 'nowhere'"):
        refuse_unwritable(Folder(s3.uri("nowhere/x")), "here")


def test_a_folder_behind_a_query_has_children_and_files(s3: S3Server) -> None:
    s3.make_bucket("there")
    folder = Folder(s3.uri("there/x"))
    below = folder.child("ä b")
    below.write("1", "f.txt")
    assert Folder(below.location).read("f.txt") == b"1"
    assert folder.folders() == ["ä b"]
    assert below.at("f.txt") == f"s3://there/x/%C3%A4%20b/f.txt?{s3.query}"


def test_the_server_is_found_by_the_environment_too(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.make_bucket("there")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    Folder("s3://there/env").write("1", "f")
    assert Folder(s3.uri("there/env")).read("f") == b"1"


def test_a_server_that_is_not_there_is_one_message() -> None:
    with pytest.raises(UsageError, match=r"cannot be written to: .*NETWORK_CONNECTION"):
        refuse_unwritable(Folder("s3://b/x?endpoint_override=127.0.0.1:1&scheme=http"), "here")
