"""Which files go with a study."""

import os
from pathlib import Path

import pytest

from study.errors import UsageError
from study.tuning.ray.packing import files_beside, modules_beside, refuse_large


def test_what_belongs_to_a_study_goes_with_it_and_nothing_else(tmp_path: Path) -> None:
    kept = ["own.toml", "own.py", "data.csv", "package/__init__.py", "package/part.py"]
    left = [
        ".git/config", ".hidden", "studies/a/study.toml", "environment/pyvenv.cfg",
        "environment/lib/x.py", "package/__pycache__/part.pyc", "old/study.toml",
        "old/provenance.json",
    ]  # fmt: skip
    for name in (*kept, *left):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text("x")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "own" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "own" / "fifo")
    found = files_beside(tmp_path / "own" / "own.toml")
    assert [str(path) for path in found] == sorted(kept)
    modules = modules_beside(tmp_path / "own" / "own.toml")
    assert [str(path) for path in modules] == sorted({*kept} - {"data.csv"})


def test_too_much_is_refused_with_the_largest(tmp_path: Path) -> None:
    sizes = {"a": 10, "b": 4_000, "c": 2_000, "d": 3_000}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    files = [Path(name) for name in sizes]
    with pytest.raises(UsageError, match=r"9 kB .* 9 kB .*b \(4 kB\), d \(3 kB\), c \(2 kB\)\. Go"):
        refuse_large(tmp_path, files, 9_009, "Go")
    refuse_large(tmp_path, files, 9_010, "Go")
