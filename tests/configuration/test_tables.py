"""Study files that are none: one message that names what is wrong, and no traceback."""

from pathlib import Path
from typing import Any

import pytest

from study.configuration.loading import load_config
from study.errors import UsageError
from tests.conftest import SMALL

TASK = '[task]\ndataset = "digits"\nmodel = "mlp"\n'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("study.seed=4294967296", r"study\.seed: .*less than or equal to 4294967295"),
        ("study.seed=-1", r"study\.seed: .*greater than or equal to 0"),
        ("study.num_samples=true", r"study\.num_samples: True is a truth value; a number"),
        ("study.num_samples='8'", r"study\.num_samples: '8' is text; a number"),
        (f"task.lr={10**400}", r"task\.lr: a whole number of 1329 bits"),
        ("task.lr=nan", r"task\.lr: nan is not allowed"),
        ("task.model_options={widths = [inf]}", r"task\.model_options\.widths: inf is not"),
        ("task.model_options={a = 2020-01-01}", r"task\.model_options\.a: .* is a date"),
        ("space.rounds=[1, 1000000000]", r"space\.rounds: 1000000000 must be at least 1 and at"),
        ("space.retrain_epochs={low=0,high=4,step=1e-300}", r"space\.retrain_epochs: .*more than"),
        ('study.name="a\\u0007b"', r"study\.name: .*control character"),
        ("study.storage_path=s3://KEY:VALUE@b", r"study\.storage_path: .*seems to hold a secret"),
        ("study.name='ääääääääääääääääääääääääääääääääääääääääääääääääääääää"
         "äääääääääääääääääääääääääääääääääääääääääääääää'", r"study\.name"),
        ("study.name='x", r"--set study\.name: .* is no TOML"),
        ("task.drop_last=1", r"task\.drop_last: 1 is no truth value; allowed are true and false"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_allowed(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as told:
        load_config(SMALL, [change])
    assert "VALUE" not in str(told.value)


@pytest.mark.parametrize("change", ["study.seed=4294967295", "study.name='ää'", "task.lr=1"])
def test_a_right_value_is_taken(change: str) -> None:
    load_config(SMALL, [change])


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + TASK.encode(), TASK.replace("\n", "\r\n").encode(), TASK.encode()],
)
def test_a_mark_at_the_start_and_windows_lines_are_fine(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    assert load_config(tmp_path / "a.toml").task.dataset == "digits"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "task: is missing"),
        (b"\xff\xfe[\x00", "is not UTF-8"),
        (TASK.encode() + b"model_options = " + b"[" * 5000, "too deep|study file"),
        (TASK.encode() + b"model_options = {a = " + b"[" * 30 + b"]" * 30 + b"}", "more than 12"),
        (TASK.encode() + b"lr = 1" + b"0" * 5000, "study file .*digits"),
        (b"#" * (1 << 20) + b"#", "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_config(tmp_path / "a.toml")


def test_a_folder_and_a_pipe_are_no_study_files(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.toml")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "pipe.toml", "no regular file")):
        with pytest.raises(UsageError, match=message):
            load_config(place)


def test_a_mapping_without_an_end_is_refused() -> None:
    tables: dict[str, Any] = {"task": {"dataset": "digits", "model": "mlp", "model_options": {}}}
    tables["task"]["model_options"]["again"] = tables
    with pytest.raises(UsageError, match="more than 12 tables"):
        load_config(tables)


def test_a_value_of_the_command_line_is_taken_as_it_is() -> None:
    config = load_config(SMALL, [("study.storage_path", "/tmp/😀 \x7e'\"")])
    assert config.study.storage_path == "/tmp/😀 ~'\""
