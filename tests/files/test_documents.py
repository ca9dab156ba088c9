"""One reader: each document and line through its record, each fault named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from study.errors import UsageError
from study.files.documents import (
    needed,
    parse,
    read_document,
    read_lines,
    read_tables,
    read_tensors,
)
from study.files.problems import Problems
from study.pruning.plan import PruningPlan
from study.records import Event, PlanRecord, TrialOutcome
from study.storage import Folder

OUTCOME: dict[str, Any] = {
    "trial_id": "0000", "status": "completed", "rounds_planned": 3, "rounds_finished": 3,
    "started_at": "2026-01-01T00:00:00.000+00:00", "finished_at": "2026-01-02T00:00:00.000+00:00",
}  # fmt: skip


def _problem(folder: Folder, content: bytes) -> str:
    problems = Problems()
    folder.write(content, "trials", "0000", "outcome.json")
    found = read_document(folder, TrialOutcome, problems, "trials", "0000", "outcome.json")
    assert found is None
    (file,) = problems
    assert file == "trials/0000/outcome.json"
    return problems[file]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("rounds_planned", "three", "rounds_planned: input should be a valid integer"),
        ("rounds_planned", 2**32, "rounds_planned: is not from 0 to 2,147,483,647, but 4294967296"),
        ("rounds_planned", -1, "rounds_planned: is not from 0"),
        ("rounds_planned", True, "rounds_planned: input should be a valid integer"),
        ("rounds_planned", 10**400, "rounds_planned"),
        ("status", "asleep", "status: input should be 'completed', 'stopped' or 'errored'"),
        ("started_at", "yesterday", "started_at"),
        ("started_at", "0001-01-01", "started_at: the year 1"),
        ("stop_detail", [1], "stop_detail: input should be"),
        ("stop_detail", {"audited": "yes"}, "stop_detail.audited: is neither true nor false"),
        ("trial_id", None, "trial_id: input should be a valid string"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: Any, said: str) -> None:
    text = json.dumps({**OUTCOME, field: value})
    assert f"is damaged: {said}" in _problem(Folder(tmp_path), text.encode())


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    del (own := dict(OUTCOME))["status"]
    assert _problem(Folder(tmp_path), json.dumps(own).encode()) == "is damaged: status: is missing"


@pytest.mark.parametrize(
    "content",
    [b'{"x":' + b"[" * 100_000, b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", b"{", b"[]",
     b"null", b'{"trial_id":"\xff"}', b"\x00", b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_what_is_no_record_is_told_of_and_raises_nothing(tmp_path: Path, content: bytes) -> None:
    assert _problem(Folder(tmp_path), content).startswith("is damaged: ")


def test_a_file_without_permission_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("study.storage.open_regular", refuse)
    assert _problem(Folder(tmp_path), b"{}") == "is damaged: Permission denied"


def test_fields_that_a_newer_program_added_are_passed_over(tmp_path: Path) -> None:
    assert parse(TrialOutcome, json.dumps({**OUTCOME, "new": 1}).encode()).rounds_planned == 3


def test_a_newer_version_is_refused_by_the_name_of_its_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(json.dumps({**OUTCOME, "schema_version": 9}), "outcome.json")
    with pytest.raises(UsageError, match=r"outcome\.json: .* version 9.*Update prune-study"):
        read_document(folder, TrialOutcome, Problems(), "outcome.json")


def test_bad_lines_are_named_by_number_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    lines = [Event(event=f"e{number}").to_json() for number in range(12)]
    for number in (1, 3, 4, 5, 6, 7, 8):
        lines[number] = '{"event": 1}'
    folder.write("\n".join(lines) + "\n", "events.jsonl")
    problems = Problems()
    found = read_lines(folder, Event, problems, "events.jsonl")
    assert [event.event for event in found] == ["e0", "e2", "e9", "e10", "e11"]
    told = problems["events.jsonl"]
    assert told.startswith("cannot be read in line 2 (event: input should be a valid string")
    assert ", 4 (event" in told
    assert told.endswith(" and 2 more")


def test_a_torn_last_line_is_named_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    line = Event(event="one").to_json()
    folder.write(f"{line}\n{line[:30]}", "events.jsonl")
    problems = Problems()
    assert len(read_lines(folder, Event, problems, "events.jsonl")) == 1
    assert not problems
    then = time.time() - 60
    os.utime(tmp_path / "events.jsonl", (then, then))
    assert len(read_lines(folder, Event, problems, "events.jsonl")) == 1
    assert problems == {"events.jsonl": "cannot be read in line 2 (it breaks off)"}


def test_what_is_needed_is_refused_with_its_file_and_field(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(UsageError, match=r"plan\.json is missing"):
        needed(folder, PruningPlan, "plan.json", strict=False)
    folder.write('{"allocation": "threshold", "threshold": "abc"}', "plan.json")
    with pytest.raises(UsageError, match=r"/plan\.json is damaged: threshold: .*'abc'"):
        needed(folder, PruningPlan, "plan.json", strict=False)
    folder.write("a = " + "[" * 5000, "study.toml")
    with pytest.raises(UsageError, match=r"/study\.toml is damaged: it is nested too deeply"):
        read_tables(folder, "study.toml")


def test_tensors_of_another_length_than_their_header_says_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}).encode()
    start = len(header).to_bytes(8, "little") + header
    folder = Folder(tmp_path)
    folder.write(start + b"abc", "x.safetensors")
    assert read_tensors(folder, "x.safetensors") == start + b"abc"
    for wrong in (start + b"ab", start + b"abcd", b"\xff" * 8, b"", start[:9]):
        folder.write(wrong, "x.safetensors")
        with pytest.raises((UsageError, ValueError)):
            read_tensors(folder, "x.safetensors")
    folder.write(start + b"abc", "x.safetensors")
    os.truncate(tmp_path / "x.safetensors", 1 << 36)  # mostly a hole: it is not read to its end
    with pytest.raises(UsageError, match="should have 3 bytes"):
        read_tensors(folder, "x.safetensors")


def test_the_plan_that_is_read_has_fields_of_the_plan_alone() -> None:
    own = set(PlanRecord.model_fields) - {"schema_version"}
    assert own <= set(PruningPlan.model_fields)
    plan = PruningPlan(sparsity={"fc1": 0.5}, rounds=3, seed=2**40)
    read = parse(PlanRecord, plan.model_dump_json().encode())
    assert {name: getattr(read, name) for name in own} == plan.model_dump(include=own)
