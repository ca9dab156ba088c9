from pathlib import Path

import pytest

from study.errors import UsageError
from study.files.outputs import write_output


def test_a_file_that_a_user_names_replaces_an_older_one_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_output(str(file), b"old")
    write_output(str(file), b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(UsageError, match="there is no folder"):
        write_output(str(tmp_path / "a" / "b.csv"), b"")
    with pytest.raises(UsageError, match="is a folder; name a file"):
        write_output(str(tmp_path), b"")
