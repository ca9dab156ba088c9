"""A study behind a real S3-compatible server, from its start to its report."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow.fs as pafs
import pytest

from benchmarks.chaos.comparing import records
from study.configuration.loading import load_config
from study.owners import claim
from study.records import EVENTS_FILE, JOURNAL_FILE, ROUNDS_FILE, TRIALS_DIR
from study.storage import Folder
from study.tuning.launching import run_study
from study.tuning.preparing import prepare
from study.tuning.resuming import prepare_resume
from tests.conftest import SMALL, call, environment
from tests.s3_server import KEYS, S3Server

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 2, "seed": 3},
    "resources": {"max_concurrent": 1, "checkpoint_interval_s": 0.001},
}


@pytest.fixture
def studies(s3: S3Server, tmp_path: Path) -> Folder:
    s3.make_bucket("studies")
    return Folder(s3.uri(f"studies/{tmp_path.name}"))


def copied(folder: Folder, place: Path) -> Path:
    """All files, as `aws s3 cp --recursive` brings them."""
    filesystem, base = folder.pyarrow
    for info in filesystem.get_file_info(pafs.FileSelector(base, recursive=True)):
        if info.type == pafs.FileType.File:
            path = place / info.path[len(base) + 1 :]
            path.parent.mkdir(parents=True, exist_ok=True)
            with filesystem.open_input_file(info.path) as stream:
                path.write_bytes(stream.read())
    return place


def killed(studies: Folder, place: Path) -> Folder:
    """A study whose driver is killed within its second trial."""
    (place / "s.json").write_text(json.dumps(TABLES))
    code = (
        "import json, sys, study\n"
        "study.run(json.load(open(sys.argv[1])), storage_path=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(place / "s.json"), studies.location]
    folder = studies.child("s")
    with subprocess.Popen(command, env=environment()) as process:
        deadline = time.monotonic() + 120
        while not folder.exists(TRIALS_DIR, "0001", ROUNDS_FILE):
            assert process.poll() is None, "the study ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running = call("status", folder.location, "--format", "json")
        process.kill()
    assert json.loads(running.output)["state"] == "running"
    return folder


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_there_and_in_a_copy_to_the_same_records(
    ray_cluster: None, studies: Folder, tmp_path: Path
) -> None:
    place = json.dumps(str(tmp_path / "whole"))
    run_study(prepare(load_config(TABLES, [f"study.storage_path={place}"])), lambda *_: None)
    whole = records(tmp_path / "whole" / "s")
    folder = killed(studies, tmp_path)
    where = folder.location

    assert folder.exists(JOURNAL_FILE), "it is there while the study runs"
    told = call("status", where, "--format", "json")
    assert json.loads(told.output)["state"] == "dead"
    assert f"prune-study resume {quote(where)}" in call("status", where).output
    again = call("run", "digits-mlp", "--name", "s", "--storage-path", studies.location)
    assert again.exit_code == 2
    assert "its run died. Go on with it: prune-study resume" in again.output

    copy = copied(folder, tmp_path / "copy" / "s")
    prepared, past = prepare_resume(Folder(copy), trust_code=True)
    run_study(prepared, lambda *_: None, past)
    assert records(copy) == whole
    assert len(Folder(copy).read(EVENTS_FILE).splitlines()) > 10

    done = call("resume", where, "--no-report", "--quiet")
    assert done.exit_code == 0, done.output
    assert records(copied(folder, tmp_path / "fetched")) == whole
    events = [json.loads(line)["event"] for line in folder.read(EVENTS_FILE).splitlines()]
    assert (events[0], events[-1]) == ("study_started", "study_finished")
    assert "study_resumed" in events
    report = tmp_path / "report.html"
    assert call("report", where, "-o", str(report)).exit_code == 0
    assert report.stat().st_size > 10_000
    secret = KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    files = [path for path in (tmp_path / "fetched").rglob("*") if path.is_file()]
    assert not [path for path in (*files, report) if secret in path.read_bytes()]


def test_a_second_starter_is_refused_with_the_name_of_the_first(
    studies: Folder, tmp_path: Path
) -> None:
    first = claim(studies.child("s"), is_new=True)
    second = call("run", "digits-mlp", "--name", "s", "--storage-path", studies.location)
    first.release("finished")
    assert second.exit_code == 2
    assert f"process {os.getpid()}" in second.output
    assert studies.child("s").folders() == ["owners"]
